import fc from 'fast-check'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openApiDocument } from '../../../src/controller/http/api.ts'
import { ROUTES } from '../../../src/controller/http/routes.ts'
import { NodeClient } from '../../support/node-client.ts'
import { scaled } from '../../support/scale.ts'
import {
  broken,
  type Document,
  fieldOf,
  type Operation,
  operations,
  resolve,
  type Schema,
  valueFor,
} from './openapi-walker.ts'
import { type Answer, type Rest, startRest } from './rest.ts'

let rest: Rest
let document: Document
let victim: NodeClient

beforeAll(async () => {
  rest = await startRest()
  const node = await rest.node('node-1')
  await rest.pool('loop~fuzz~a', node, { iops: 1000, mesos: { roles: ['default'] } })
  await rest.ask('PUT', '/v1/profiles/p1', {})
  await rest.ask('POST', '/v1/volumes?wait=20', { name: 'v1', sizeMiB: 10 })
  await rest.ask('POST', '/v1/snapshots?wait=20', { volume: 'v1', name: 's1' })
  victim = new NodeClient({ url: rest.url, name: 'victim' })
  await victim.join(await rest.token('join'))
  await victim.hello()
  document = (await rest.ask('GET', '/openapi.json')).body
})
afterAll(async () => {
  await victim.close()
  await rest.close()
})

describe('the description', () => {
  it('is OpenAPI 3.1, the same offline as served', async () => {
    expect(document.openapi).toBe('3.1.0')
    expect(JSON.parse(JSON.stringify(await openApiDocument('0.1.0')))).toEqual(document)
  })

  it('names every route, and no other', () => {
    const described = operations(document).map(({ method, path }) => `${method} ${path}`)
    const offered = ROUTES.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
    expect(described.sort()).toEqual(offered.sort())
  })

  it('refers to nothing that is not there, and declares every part of a path', () => {
    expect(() => resolve(document, document as unknown as Schema)).not.toThrow()
    for (const { path, parameters, responses } of operations(document)) {
      const inPath = parameters.filter((each) => each.in === 'path').map((each) => each.name)
      expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]))
      expect(Object.keys(responses).length).toBeGreaterThan(1)
    }
  })
})

/** Whether an answer is one that the description allows. */
function judge(operation: Operation, answer: Answer): void {
  const described = operation.responses[String(answer.status)]
  const where = `${operation.method} ${operation.path} → ${answer.status} ${JSON.stringify(answer.body).slice(0, 500)}`
  expect(described, `${where}: not documented`).toBeDefined()
  // a node that has seen a later leader is told so
  if (answer.body.code !== 'fenced') expect(answer.status, where).toBeLessThan(500)
  const type = (answer.headers.get('content-type') ?? '').split(';', 1)[0] as string
  const schema = described?.content?.[type]?.schema
  expect(schema, `${where}: ${type} is not documented`).toBeDefined()
  const check = compiled(schema as Schema)
  if (!check.Check(answer.body)) expect.fail(`${where}: ${JSON.stringify(check.Errors(answer.body).slice(0, 3))}`)
}

const cache = new Map<Schema, ReturnType<typeof Compile>>()
function compiled(schema: Schema): ReturnType<typeof Compile> {
  const known = cache.get(schema) ?? Compile(resolve(document, schema))
  cache.set(schema, known)
  return known
}

const ids: string[] = []
let turn = 0
const POOL = 'loop~fuzz~a'
const GOOD: Readonly<Record<string, () => unknown>> = {
  pool: () => POOL,
  node: () => 'node-1',
  markOn: () => 'node-1',
  volume: () => 'v1',
  snapshot: () => 's1',
  role: () => 'default',
  profile: () => 'p1',
  poolId: () => POOL,
  // one of ours, or of Mesos
  operation: () => {
    turn += 1
    return turn % 2 === 0 ? crypto.randomUUID() : (ids.findLast((id) => id.startsWith('op-')) ?? 'op-none')
  },
  hold: () => ids.findLast((id) => id.startsWith('hold-')) ?? 'hold-none',
  attachment: () => ids.findLast((id) => id.startsWith('att-')) ?? 'att-none',
  group: () => ids.findLast((id) => id.startsWith('group-')) ?? 'group-none',
  envelope: () => ({ protocol: 1, term: 0, bootId: victim.bootId, session: victim.session }),
}
const hints = {
  names: () => ['v1', 's1', 'node-1', POOL, 'default', 'ads/web', ...ids.slice(-20)],
  field: (key: string) => GOOD[key]?.(),
}
const text = (value: unknown) => encodeURIComponent(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))

interface Request {
  readonly operation: Operation
  readonly values: Readonly<Record<string, unknown>>
  readonly body: unknown
}

function requests(operation: Operation): fc.Arbitrary<Request> {
  const parameters = operation.parameters.filter((each) => each.in !== 'header' && each.name !== 'wait')
  const values = parameters.map(({ name, schema, in: place, required }) => {
    // who removes the only node removes most of what could be tried
    const isNode = operation.method === 'DELETE' && name === 'node'
    const value = isNode ? fc.constant('spare') : fieldOf(name, schema, place === 'path' || required === true, hints)
    return value.map((each) => [name, each] as const)
  })
  const body = operation.body === undefined ? fc.constant(undefined) : valueFor(operation.body, hints)
  const sent = body.chain((value) =>
    value === undefined
      ? fc.constant(undefined)
      : fc.oneof({ arbitrary: fc.constant(value), weight: 2 }, { arbitrary: broken(value), weight: 1 }),
  )
  return fc.record({
    operation: fc.constant(operation),
    values: fc.tuple(...values).map((pairs) => Object.fromEntries(pairs)),
    body: sent,
  })
}

/** What takes a node's credential; its Mesos stream would be answered for ever. */
function isNodeCall(path: string): boolean {
  return /^\/v1\/(node|mesos\/(providers|disks|operations|report))(\/|$)/.test(path)
}

async function send({ operation, values, body }: Request): Promise<Answer> {
  let { path } = operation
  const query: string[] = []
  for (const { name, in: place } of operation.parameters) {
    const value = values[name]
    if (place === 'path') path = path.replace(`{${name}}`, text(value) || 'x')
    else if (place === 'query' && value !== undefined) {
      for (const each of Array.isArray(value) ? value : [value]) query.push(`${name}=${text(each)}`)
    }
  }
  const token = isNodeCall(path) ? victim.secret : rest.admin
  const url = query.length === 0 ? path : `${path}?${query.join('&')}`
  return rest.ask(operation.method, url, body, { token, headers: { accept: 'application/json' } })
}

it('holds for whatever is asked: documented answers, never a failure inside', async () => {
  const open = operations(document)
  await fc.assert(
    fc.asyncProperty(fc.oneof(...open.map(requests)), async (request) => {
      const answer = await send(request)
      judge(request.operation, answer)
      for (const match of JSON.stringify(answer.body).matchAll(/"id":"((?:vol|hold|att|op|group|snap)-[a-z0-9]+)"/g))
        ids.push(match[1] as string)
    }),
    { numRuns: scaled(1200) },
  )
  expect((await rest.ask('GET', '/healthz')).status).toBe(200)
  expect(rest.logLines.filter((line) => line.includes('went wrong inside'))).toEqual([])
})
