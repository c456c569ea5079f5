import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, createServer as createTcp, type Socket } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { type RunningController, runController } from '../../src/cli/run-controller.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { type Child, ended, holdfast, type Server, server, start } from './holdfast.ts'

async function withServer(): Promise<Server> {
  const running = await server()
  onTestFinished(() => running[Symbol.asyncDispose]())
  return running
}

/** What a process has said so far. */
function listen(child: Child): { out: string; err: string } {
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return said
}

const ROLE = ['role', 'set', 'ads', '--iops', '5']

test('an answer that gets lost is asked for again under the same key, and the change is made once', async () => {
  const { env, running } = await withServer()
  const keys: string[] = []
  // passes everything on and cuts the connection instead of giving the first answer
  const proxy = createServer((incoming, outgoing) => {
    keys.push(String(incoming.headers['idempotency-key']))
    const { method = 'GET', url = '/', headers } = incoming
    const onward = request(new URL(url, running.api), { method, headers }, (answer) => {
      if (keys.length === 1) return void answer.resume().once('end', () => outgoing.destroy())
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(onward)
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void proxy.closeAllConnections())
  onTestFinished(() => void proxy.close())
  await once(proxy, 'listening')
  const { port } = proxy.address() as { port: number }
  const through = { ...env, HOLDFAST_API: `http://127.0.0.1:${port}` }
  const { code, err, out } = await holdfast(['token', 'create', '--kind', 'reader'], through)
  // the secret was in the answer that got lost: it is said so, and no second token is made
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain('its secret got lost on the way')
  expect(keys).toHaveLength(2)
  expect(keys[1]).toBe(keys[0])
  expect(JSON.parse((await holdfast(['token', 'list', '-o', 'json'], env)).out)).toHaveLength(1)
})

test('events are followed, and taken up again where they were after the controller was away', async () => {
  const state = testDir()
  const log = pino({ level: 'silent' })
  const open = (port: number) => {
    return runController({ state, host: '127.0.0.1', port, insecure: false, leaseMs: 15_000, trustClock: true, log })
  }
  let controller: RunningController = await open(0)
  onTestFinished(() => controller.stop())
  const env = { HOLDFAST_API: controller.api, HOLDFAST_TOKEN: controller.token }
  const child = start(['events', '--follow', '--after', '0', '--type', 'role.', '-o', 'json'], env)
  const said = listen(child)
  await holdfast(['role', 'set', 'one', '--iops', '1'], env)
  await until(() => said.out.includes('"one"'), { what: 'the first event' })
  await controller.stop()
  await until(() => said.err.includes('The connection is gone'), { what: 'the note about the connection' })
  controller = await open(Number(new URL(controller.api).port))
  await holdfast(['role', 'set', 'two', '--iops', '2'], env)
  await until(() => said.out.includes('"two"'), { what: 'the event after the interruption', deadlineMs: 20_000 })
  const roles = said.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).subject.id)
  expect(roles).toEqual(['one', 'two'])
})

test('a reader that goes away ends the program quietly', async () => {
  const { env } = await withServer()
  const child = start(['events', '--follow', '--after', '0'], env)
  const said = listen(child)
  await holdfast(ROLE, env)
  await until(() => said.out !== '', { what: 'the first event' })
  const closed = once(child, 'close') as Promise<[number | null]>
  child.stdout.destroy()
  await holdfast(['role', 'delete', 'ads'], env)
  expect((await closed)[0]).toBe(0)
  expect(said.err).toBe('')
})

test('Ctrl-C leaves the work going and says how to follow it', async () => {
  const { env } = await withServer()
  // no node will ever mark this pool: the work waits
  const node = { HOLDFAST_TOKEN: (await holdfast(['node', 'token'], env)).out.trim() }
  const joined = await fetch(`${env.HOLDFAST_API}/v1/nodes/join`, {
    method: 'POST',
    headers: { authorization: `Bearer ${node.HOLDFAST_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'away', machineId: 'm', credentialHash: 'ab'.repeat(32) }),
  })
  expect(joined.status).toBe(201)
  const child = start(
    ['pool', 'create', 'loop~a~b', '--capacity', '1GiB', '--setting', 'directory=/nonexistent', '--mark-on', 'away'],
    env,
  )
  const said = listen(child)
  await until(() => said.err.includes('mark loop~a~b: waiting for'), { what: 'the line that says what is waited for' })
  const closed = once(child, 'close') as Promise<[number | null]>
  child.kill('SIGINT')
  expect((await closed)[0]).toBe(130)
  const [, id = ''] = /It goes on\. Follow it with: holdfast operation wait (op-\S+)\n/.exec(said.err) ?? []
  expect(await holdfast(['operation', 'wait', id, '--timeout', '1s'], env)).toMatchObject({
    code: 1,
    err: expect.stringContaining('not done within 1 s; it goes on'),
  })
  expect(JSON.parse((await holdfast(['operation', 'show', id, '-o', 'json'], env)).out).state).toBe('pending')
  expect((await holdfast(['operation', 'cancel', id], env)).out).toContain('cancelled')
  expect(await holdfast(['operation', 'wait', id], env)).toMatchObject({
    code: 1,
    err: expect.stringContaining('cancelled'),
  })
})

test('a token in a file comes before one in the environment when the flag names it, and HOLDFAST_TOKEN before its file', async () => {
  const { env, running } = await withServer()
  const { writeFileSync } = await import('node:fs')
  const dir = testDir()
  writeFileSync(`${dir}/good`, `${running.token}\n`)
  writeFileSync(`${dir}/bad`, 'hft_bad\n')
  const { HOLDFAST_API = '' } = env
  const codes = [
    await holdfast(['role', 'list', '--token-file', `${dir}/good`], { HOLDFAST_API, HOLDFAST_TOKEN: 'hft_bad' }),
    await holdfast(['role', 'list'], {
      HOLDFAST_API,
      HOLDFAST_TOKEN: running.token,
      HOLDFAST_TOKEN_FILE: `${dir}/bad`,
    }),
    await holdfast(['role', 'list'], { HOLDFAST_API, HOLDFAST_TOKEN_FILE: `${dir}/good` }),
    await holdfast(['role', 'list'], { HOLDFAST_API, HOLDFAST_TOKEN_FILE: `${dir}/bad` }),
    await holdfast(['role', 'list'], { HOLDFAST_API }),
  ].map(({ code }) => code)
  expect(codes).toEqual([0, 0, 0, 6, 6])
})

test('status is shown again and again with --watch', async () => {
  const { env } = await withServer()
  const child = start(['status', '--watch', '--every', '1s'], env)
  const said = listen(child)
  await until(() => said.out.split('POOLS').length >= 3, { what: 'the second screen' })
  child.kill('SIGTERM')
})

test('a controller that stops answering is given up on in the end, not waited for without end', async () => {
  const sockets = new Set<Socket>()
  const silent = createTcp((socket) => {
    sockets.add(socket)
    socket.once('data', () => socket.destroy())
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void silent.close())
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const { code, err } = await ended(start(['role', 'list'], { HOLDFAST_API: `http://127.0.0.1:${port}` }))
  expect([code, err]).toEqual([1, expect.stringContaining(`no controller at http://127.0.0.1:${port}`)])
  expect(sockets.size).toBeGreaterThan(1)
})

test('the controller runs as a program of its own until TERM, and an existing token finds it', async () => {
  const state = `${testDir()}/state`
  const child = start(['controller', 'run', '--listen', '127.0.0.1:0', '--state', state], {})
  const said = listen(child)
  const closed = once(child, 'close') as Promise<[number | null]>
  const api = await until(() => /"api":"([^"]+)"/.exec(said.err)?.[1], {
    what: 'the listening line',
    deadlineMs: 30_000,
  })
  // the controller's own token is found where its state is
  const { code } = await holdfast(['status'], { HOLDFAST_API: api, HOLDFAST_CONTROLLER_STATE: state })
  expect(code).toBe(0)
  child.kill('SIGTERM')
  expect((await closed)[0]).toBe(0)
  expect(said.out).toBe('')
  const { port } = new URL(api)
  const refused = once(connect(Number(port), '127.0.0.1'), 'connect')
  await expect(refused).rejects.toThrow('ECONNREFUSED')
})

test('listening beyond loopback without TLS is refused unless it is asked for', async () => {
  const { code, err } = await holdfast(['controller', 'run', '--listen', '0.0.0.0:0', '--state', `${testDir()}/state`])
  expect([code, err]).toEqual([2, expect.stringContaining('without TLS would send tokens in the clear')])
})
