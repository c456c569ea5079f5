import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pino } from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type RunningController, runController } from '../../src/cli/run-controller.ts'
import { needs } from '../support/missing.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { Http } from './support/controller-http.ts'
import { ControllerProcess } from './support/controller-process.ts'

async function start(state: string): Promise<RunningController> {
  const log = pino({ level: 'silent' })
  const running = await runController({ state, host: '127.0.0.1', port: 0, insecure: false, leaseMs: 15_000, log })
  onTestFinished(() => running.stop())
  return running
}

/** The state of a controller that has stopped, with one pool in it. */
async function usedState(): Promise<string> {
  const state = join(testDir(), 'state')
  const running = await start(state)
  const http = new Http(running)
  await http.send('POST', '/v1/pools', { name: 'loop~a~b', driver: 'loop', capacityMiB: 5 })
  http.close()
  await running.stop()
  return state
}

/** What the process that a failing start ends says, and its exit code. */
async function failingProcess(state: string): Promise<{ message: string; code: number | null }> {
  const controller = new ControllerProcess({ state })
  onTestFinished(() => controller.kill())
  await controller.loaded()
  controller.begin()
  const message = await controller.ready().then(
    () => 'it started',
    (error: Error) => error.message,
  )
  return { message, code: await controller.stop() }
}

describe('a controller does not start', () => {
  test('on a state directory that others may enter', async () => {
    const state = await usedState()
    chmodSync(state, 0o755)
    await expect(start(state)).rejects.toMatchObject({
      code: 'state_dir',
      message: expect.stringContaining('chmod 700'),
    })
  })

  needs('root').test('on a state directory of somebody else', async () => {
    const state = await usedState()
    chownSync(state, 12_345, 12_345)
    const why = { code: 'state_dir', message: expect.stringContaining('belongs to uid 12345') }
    await expect(start(state)).rejects.toMatchObject(why)
  })

  test('on a store that is damaged, and leaves it as it is', async () => {
    const state = await usedState()
    const file = join(state, 'holdfast.db')
    const bytes = readFileSync(file)
    bytes.fill(0x5a, 4096)
    writeFileSync(file, bytes)
    await expect(start(state)).rejects.toMatchObject({ code: 'store_corrupt', message: expect.stringContaining(file) })
    expect(readFileSync(file).equals(bytes)).toBe(true)
  })

  test('on a store of a newer version', async () => {
    const state = await usedState()
    const database = new DatabaseSync(join(state, 'holdfast.db'))
    database.exec('UPDATE meta SET schema = 99')
    database.close()
    await expect(start(state)).rejects.toMatchObject({ code: 'store_schema', message: expect.stringContaining('99') })
  })

  test('on the state of a controller that is alive, which is not disturbed', async () => {
    const state = await usedState()
    const first = await start(state)
    await expect(start(state)).rejects.toMatchObject({ code: 'fenced', message: expect.stringContaining('in use') })
    expect(await failingProcess(state)).toMatchObject({ message: expect.stringContaining('in use'), code: 1 })
    const http = new Http(first)
    const { status } = await http.send('POST', '/v1/holds', { pool: 'loop~a~b', sizeMiB: 1 })
    http.close()
    expect(status).toBe(201)
  })

  test("when others may read the admin's token; once that is mended it does, in the same process", async () => {
    const state = await usedState()
    chmodSync(join(state, 'admin.token'), 0o644)
    const why = { code: 'state_dir', message: expect.stringContaining('chmod 600') }
    await expect(start(state)).rejects.toMatchObject(why)
    expect((await failingProcess(state)).code).toBe(1)
    chmodSync(join(state, 'admin.token'), 0o600)
    await start(state)
  })

  test('on a port that is taken, and leaves the state free', async () => {
    const state = await usedState()
    const port = Number(new URL((await start(await usedState())).api).port)
    const log = pino({ level: 'silent' })
    const options = { state, host: '127.0.0.1', port, insecure: false, leaseMs: 15_000, log }
    await expect(runController(options)).rejects.toThrow(/EADDRINUSE/)
    await start(state)
  })
})

test('the state directory and the token are made for nobody else', async () => {
  const state = await usedState()
  expect(statSync(state).mode & 0o777).toBe(0o700)
  expect(statSync(join(state, 'admin.token')).mode & 0o777).toBe(0o600)
})

needs('root', 'mount').test(
  'a full disk is answered with a problem; the process lives, and goes on when there is room again',
  async () => {
    const dir = join(testDir(), 'small')
    mkdirSync(dir)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', dir])
    onTestFinished(() => void execFileSync('umount', [dir]))
    const ballast = join(dir, 'ballast')
    writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024))
    const controller = new ControllerProcess({ state: join(dir, 'state') })
    onTestFinished(() => controller.kill())
    await controller.loaded()
    controller.begin()
    const ready = await controller.ready()
    if (ready === undefined) throw new Error('the controller ended by itself')
    const http = new Http(ready)
    await http.send('POST', '/v1/pools', { name: 'loop~a~b', driver: 'loop', capacityMiB: 100_000 })
    const hold = (n: number) => {
      const labels = Object.fromEntries(Array.from({ length: 40 }, (_, label) => [`label-${label}`, 'x'.repeat(255)]))
      return http.send('POST', '/v1/holds', { pool: 'loop~a~b', sizeMiB: n, labels }, `hold ${n}`)
    }
    let n = 0
    let answer = await hold(1)
    for (; answer.status === 201 && n < 1000; n += 1) answer = await hold(n + 2)
    const accepted = n
    expect([503, 507]).toContain(answer.status)
    expect(answer.body).toMatchObject({ code: 'unknown_outcome', type: 'urn:holdfast:error:unknown_outcome' })
    // while it stays full: alive, not ready, and every answer a problem
    for (let look = 0; look < 20; look += 1) {
      expect(await http.send('GET', '/healthz')).toMatchObject({ status: 200 })
      const { status, body } = await hold(n + 1)
      expect([503, 507]).toContain(status)
      expect(['unknown_outcome', 'not_ready']).toContain(body.code)
    }
    rmSync(ballast)
    await until(async () => (await http.send('GET', '/readyz')).status === 200, {
      what: 'the controller to lead again',
    })
    const repeated = await hold(n + 1)
    expect(repeated.status).toBe(201)
    expect(await hold(n + 1)).toEqual(repeated)
    const holds = await http.all<{ id: string; sizeMiB: number }>('/v1/holds')
    expect(holds.map(({ sizeMiB }) => sizeMiB)).toEqual(Array.from({ length: accepted + 1 }, (_, index) => index + 1))
    http.close()
    expect(await controller.stop()).toBe(0)
  },
)
