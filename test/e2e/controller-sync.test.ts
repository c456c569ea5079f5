import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { digest } from '../../src/runtime/secrets.ts'
import { needs } from '../support/missing.ts'
import { CAPABILITIES, NodeClient } from '../support/node-client.ts'
import { testDir } from '../support/temp-dir.ts'
import { Http, type Response } from './support/controller-http.ts'
import { ControllerProcess, type Ready } from './support/controller-process.ts'
import { straceCommand, Trace } from './support/controller-trace.ts'

const UNSYNCED = fileURLToPath(new URL('./support/controller-unsynced.ts', import.meta.url))

/** Lets requests be made of a controller that is watched; gives their keys, and what was seen of it. */
async function watched(
  requests: (ready: Ready) => Promise<string[]>,
  node: readonly string[] = [],
): Promise<{ trace: Trace; keys: string[] }> {
  const dir = testDir()
  const file = join(dir, 'trace')
  const controller = new ControllerProcess({ state: join(dir, 'state'), before: straceCommand(file), node })
  onTestFinished(() => controller.end())
  await controller.loaded()
  controller.begin()
  const ready = await controller.ready()
  if (ready === undefined) throw new Error('the controller ended by itself')
  const keys = await requests(ready)
  expect(await controller.stop()).toBe(0)
  return { trace: new Trace(file), keys }
}

function succeeded({ status, body }: Response): Readonly<Record<string, unknown>> {
  expect([200, 201, 202], JSON.stringify(body)).toContain(status)
  return body
}

const pool = { name: 'loop~sync~pool', driver: 'loop', capacityMiB: 100_000 }

/** A node that reaches the pool and takes no work. */
async function reach(ready: Ready): Promise<void> {
  const node = new NodeClient({ url: ready.api, name: 'node-1' })
  const http = new Http(ready)
  await node.join(ready.token)
  succeeded(await http.send('PATCH', '/v1/nodes/node-1', { cordoned: true }))
  await node.hello()
  const { id } = await http.get(`/v1/pools/${pool.name}`)
  await node.call('pools', { pools: [{ poolId: id, ok: true, capabilities: CAPABILITIES }] })
  await node.close()
  http.close()
}

/** One of each kind of change, one after the other, each under a key of its own. */
async function everyNoun(ready: Ready): Promise<string[]> {
  const http = new Http(ready)
  const keys: string[] = []
  const ask = async (method: string, path: string, body?: unknown) => {
    keys.push(`key-${keys.length}-`)
    return succeeded(await http.send(method, path, body, keys.at(-1)))
  }
  await ask('POST', '/v1/pools', pool)
  await reach(ready)
  await ask('PATCH', `/v1/pools/${pool.name}`, { iops: 50_000 })
  await ask('PUT', '/v1/roles/ads', { quota: { sizeMiB: 5000 } })
  const hold = await ask('POST', '/v1/holds', { pool: pool.name, role: 'ads', sizeMiB: 500 })
  await ask('POST', '/v1/volumes', { name: 'v1', pool: pool.name, role: 'ads', sizeMiB: 100, hold: hold.id })
  await ask('PATCH', '/v1/volumes/v1', { labels: { a: 'b' } })
  await ask('POST', '/v1/groups', { volumes: [1, 2].map((n) => ({ name: `g${n}`, pool: pool.name, sizeMiB: 1 })) })
  await ask('POST', '/v1/nodes/join', { name: 'node-2', machineId: 'two', credentialHash: digest('two') })
  await ask('PATCH', '/v1/nodes/node-2', { cordoned: true })
  const { token } = await ask('POST', '/v1/tokens', { tokenRole: 'reader' })
  await ask('DELETE', `/v1/tokens/${(token as { id: string }).id}`)
  await ask('DELETE', '/v1/volumes/v1')
  await ask('DELETE', `/v1/holds/${String(hold.id)}`)
  await ask('DELETE', '/v1/nodes/node-2')
  await ask('DELETE', '/v1/roles/ads')
  http.close()
  return keys
}

/** Eight callers at once; what each request records carries a mark. */
async function eightAtOnce(ready: Ready): Promise<string[]> {
  const http = new Http(ready)
  succeeded(await http.send('POST', '/v1/pools', pool))
  await reach(ready)
  http.close()
  const marks: string[] = []
  const caller = async (_: unknown, index: number) => {
    const own = new Http(ready)
    for (let n = 0; n < 8; n += 1) {
      const mark = `mark-${index}-${n}-`
      marks.push(mark)
      const hold = { pool: pool.name, sizeMiB: 1, labels: { mark } }
      const volume = { name: mark.slice(0, -1), pool: pool.name, sizeMiB: 1, labels: { mark } }
      succeeded(
        await own.send(
          'POST',
          ...((n % 2 === 0 ? ['/v1/holds', hold] : ['/v1/volumes', volume]) as [string, object]),
          mark,
        ),
      )
    }
    own.close()
  }
  await Promise.all(Array.from({ length: 8 }, caller))
  return marks
}

const traced = needs('strace')

traced.test('every answer to a change is written after a sync of the log that holds it', async () => {
  const { trace, keys } = await watched(everyNoun)
  expect(keys.map((key) => trace.complaint(key, undefined)).filter((each) => each !== undefined)).toEqual([])
  expect(trace.syncs).toBeGreaterThanOrEqual(keys.length)
})

traced.test('so it is for callers that come together and share a batch', async () => {
  const { trace, keys: marks } = await watched(eightAtOnce)
  expect(marks.map((mark) => trace.complaint(mark, mark)).filter((each) => each !== undefined)).toEqual([])
  process.stdout.write(`${marks.length} changes, ${trace.syncs} syncs\n`)
})

traced.test('this would notice a store that does not sync', async () => {
  const { trace, keys } = await watched(everyNoun, ['--import', UNSYNCED])
  expect(keys.filter((key) => trace.complaint(key, undefined) === undefined)).toEqual([])
})
