import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Answer, type Rest, startRest } from './rest.ts'

let rest: Rest

beforeAll(async () => {
  rest = await startRest()
  const one = await rest.node('node-1')
  const two = await rest.node('node-2')
  await rest.pool('loop~ex~small', one, { capacityMiB: 1000 })
  await rest.pool('loop~ex~large', two, { capacityMiB: 10_000, iops: 500 })
  await rest.ask('PUT', '/v1/roles/poor', { quota: { sizeMiB: 50 } })
  await rest.ask('POST', '/v1/volumes?wait=20', { name: 'there', sizeMiB: 100, pool: 'loop~ex~small' })
})
afterAll(() => rest.close())

const taken = async () => (await rest.ask('GET', '/v1/pools')).body.items.map((each: { usage: unknown }) => each.usage)
const explain = (volumes: object[], more: object = {}): Promise<Answer> =>
  rest.ask('POST', '/v1/explain', { volumes, ...more })

it.each([
  [{ name: 'a', sizeMiB: 500 }],
  [{ name: 'a', sizeMiB: 5000 }],
  [{ name: 'a', sizeMiB: 50_000 }],
  [{ name: 'a', sizeMiB: 10, iops: 501 }],
  [{ name: 'a', sizeMiB: 10, fs: 'btrfs' }],
  [{ name: 'a', sizeMiB: 51, role: 'poor' }],
  [{ name: 'there', sizeMiB: 1 }],
  [{ name: 'there', sizeMiB: 50_000 }],
  [{ name: 'a', sizeMiB: 10, pool: 'loop~ex~none' }],
  [{ name: 'a', sizeMiB: 10, from: { volume: 'there' } }],
  [{ name: 'a', sizeMiB: 100, from: { volume: 'there' } }],
])('says of %j what the create then does', async (body) => {
  const before = await taken()
  const said = await explain([body])
  expect(await taken()).toEqual(before)
  const done = await rest.ask('POST', '/v1/volumes?wait=20', body)
  if (said.status !== 200) {
    expect([said.status, said.body.code]).toEqual([done.status, done.body.code])
  } else if (said.body.fits) {
    expect(done.body.volume.pool).toBe(said.body.plan[0].pool)
    expect((await rest.ask('DELETE', '/v1/volumes/a?wait=20')).status).toBe(200)
  } else {
    expect(said.body.refusal).toEqual({ code: done.body.code, detail: done.body.detail })
  }
})

it('says of a group what the create then does', async () => {
  const fitting = [
    { name: 'g1', sizeMiB: 800 },
    { name: 'g2', sizeMiB: 9000 },
  ]
  const said = await explain(fitting)
  expect(said.body.plan.map((each: { pool: string }) => each.pool)).toEqual(['loop~ex~small', 'loop~ex~large'])
  const over = await explain([...fitting, { name: 'g3', sizeMiB: 1001 }])
  expect(over.body).toMatchObject({ fits: false, refusal: { code: 'does_not_fit' } })
  expect(over.body.considered).toHaveLength(3)
  expect(over.body.considered[0].map((each: { name: string }) => each.name).sort()).toEqual([
    'loop~ex~large',
    'loop~ex~small',
  ])
  const twins = await explain([
    { name: 'g', sizeMiB: 1 },
    { name: 'g', sizeMiB: 1 },
  ])
  expect(twins.body.refusal.code).toBe('name_taken')
})

it('says on which node the volumes could be used, and why not on another', async () => {
  const volumes = [{ name: 'n', sizeMiB: 500, pool: 'loop~ex~small' }]
  const free = await explain(volumes)
  expect(free.body.plan[0].node).toBe('node-1')
  const there = await explain(volumes, { node: 'node-1' })
  expect(there.body).toMatchObject({ fits: true, nodes: [{ name: 'node-1', fits: true }] })
  const elsewhere = await explain(volumes, { node: 'node-2' })
  expect(elsewhere.body).toMatchObject({
    fits: false,
    refusal: { code: 'no_reach' },
    nodes: [{ name: 'node-2', fits: false }],
  })
  expect((await explain(volumes, { node: 'node-9' })).body.code).toBe('not_found')
})

it('counts the attachments that all volumes of a task need together', async () => {
  await rest.ask('PATCH', '/v1/nodes/node-1', { attachmentLimit: 1 })
  const two = [1, 2].map((index) => ({ name: `n${index}`, sizeMiB: 1, pool: 'loop~ex~small' }))
  const { body } = await explain(two, { node: 'node-1' })
  expect(body).toMatchObject({ fits: false, refusal: { code: 'node_full' } })
  await rest.ask('PATCH', '/v1/nodes/node-1', { attachmentLimit: 64 })
})
