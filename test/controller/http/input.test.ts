import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeClient } from '../../support/node-client.ts'
import { type Rest, rawAsk, startRest } from './rest.ts'

let rest: Rest
let node: NodeClient

beforeAll(async () => {
  rest = await startRest()
  node = await rest.node('node-1')
  await rest.pool('loop~input~a', node)
})
afterAll(() => rest.close())

const create = (body: unknown) => rest.ask('POST', '/v1/volumes', body)

describe('bad sizes', () => {
  it.each([
    ['zero', '0'],
    ['a negative', '-5'],
    ['one beyond every limit', '1e30'],
    ['a fraction', '1.5'],
    ['text', '"10"'],
    ['a list', '[1]'],
    ['null', 'null'],
    ['true', 'true'],
  ])('refuses %s, and says where and what would be right', async (_what, size) => {
    const { status, body } = await create(`{"name":"v","sizeMiB":${size}}`)
    expect([status, body.code]).toEqual([400, 'invalid_size'])
    expect(body.detail).toMatch(/^body\.sizeMiB: .* is not a whole number from 1 to 8,796,093,022,208$/)
  })

  it('refuses NaN, which is not JSON, with the place', async () => {
    const { status, body } = await create('{"name":"v",\n "sizeMiB":NaN}')
    expect([status, body.code, body.line, body.column]).toEqual([400, 'invalid_request', 2, 12])
  })
})

describe('bad names', () => {
  const names = [
    '',
    'x'.repeat(4096),
    '/',
    'a/b',
    '..',
    '.',
    'a\u0000b',
    'a\nb',
    '🙂',
    '$(reboot)',
    '; rm -rf /',
    '`id`',
    "'",
    '-rf',
    'a b',
    'é',
    '__proto__',
  ]
  const titled = names.map((name) => [name.slice(0, 20), name] as const)
  it.each(titled)('refuses the volume name %j', async (_title, name) => {
    const { status, body } = await create({ name, sizeMiB: 1 })
    expect([status, body.code]).toEqual([400, 'invalid_name'])
    expect(body.detail).toContain('body.name')
    expect(body.detail.length).toBeLessThan(400)
  })

  it.each(titled)('finds no volume by the name %j', async (_title, name) => {
    const { status } = await rest.ask('GET', `/v1/volumes/${encodeURIComponent(name)}`)
    // an empty name is the list's own path with a slash, and a path's part has its limit
    expect([400, 404]).toContain(status)
  })
})

describe('unknown things', () => {
  it.each([
    [{ pool: 'loop~no~where' }, 404, 'not_found'],
    [{ hold: 'hold-none' }, 404, 'not_found'],
    [{ from: { snapshot: 'none' } }, 404, 'not_found'],
    [{ fs: 'ntfs' }, 400, 'invalid_option'],
    [{ access: 'everybody' }, 400, 'invalid_option'],
    [{ role: '*' }, 400, 'invalid_name'],
    [{ iops: -1 }, 400, 'invalid_option'],
    [{ labels: { 'a b': 'c' } }, 400, 'invalid_option'],
    [{ labels: { a: 'line\nbreak' } }, 400, 'invalid_option'],
    [{ from: {} }, 400, 'invalid_option'],
    [{ fingerprint: 'x' }, 403, 'forbidden'],
  ])('refuses %j', async (more, status, code) => {
    const answer = await create({ name: 'unknown', sizeMiB: 1, ...more })
    expect([answer.status, answer.body.code]).toEqual([status, code])
  })

  it('names a surplus field and the one that was meant', async () => {
    const { body } = await create({ name: 'v', sizeMib: 1 })
    expect(body).toMatchObject({ code: 'invalid_option', field: 'sizeMib', near: ['sizeMiB'] })
    expect(body.detail).toBe('body has no field "sizeMib"; did you mean "sizeMiB"?')
  })

  it('names a surplus field deep inside, and what is known when nothing is near', async () => {
    const { body } = await rest.ask('POST', '/v1/groups', {
      volumes: [{ name: 'v', sizeMiB: 1, from: { zebra: 'x' } }],
    })
    expect(body.detail).toBe('body.volumes[0].from has no field "zebra"; known are snapshot, volume')
  })

  it('does not take __proto__ for anything', async () => {
    const { body } = await create('{"name":"v","sizeMiB":1,"__proto__":{"role":"x"}}')
    expect(body).toMatchObject({ code: 'invalid_option', field: '__proto__' })
    const label = await create('{"name":"v","sizeMiB":1,"labels":{"__proto__":"x"}}')
    expect(label.body.code).toBe('invalid_option')
  })

  it('names what is missing', async () => {
    const { body } = await create({ pool: 'loop~input~a' })
    expect(body).toMatchObject({ code: 'invalid_request', missing: ['name', 'sizeMiB'] })
  })

  it('refuses an unknown query field with the one that was meant', async () => {
    const { body } = await rest.ask('GET', '/v1/volumes?limits=3')
    expect(body).toMatchObject({ code: 'invalid_option', near: ['limit'] })
  })

  it.each([
    'limit=0',
    'limit=1001',
    'limit=x',
    'limit=1.5',
    'limit=1&limit=2',
    'inUse=maybe',
    'label=nokey',
    'state=gone',
  ])('refuses the query %s', async (query) => {
    expect((await rest.ask('GET', `/v1/volumes?${query}`)).status).toBe(400)
  })
})

describe('what is hardly a request', () => {
  it.each(['', '{', '{"name":"v"', '[', 'null', '5', '"x"', '{"a":}', '\u0000', '{"name":"v",}'])(
    'refuses the body %j',
    async (body) => {
      const answer = await rest.ask('POST', '/v1/volumes', body)
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request'])
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
    },
  )

  it('refuses another media type', async () => {
    const answer = await rest.ask('POST', '/v1/volumes', 'name: v', { headers: { 'content-type': 'text/yaml' } })
    expect([answer.status, answer.body.code]).toEqual([415, 'unsupported_media_type'])
  })

  it('refuses a body of 100 MiB without reading it', async () => {
    const head = `POST /v1/volumes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${rest.admin}\r\ncontent-type: application/json\r\n`
    const answer = await rawAsk(rest.url, `${head}content-length: ${100 * 1024 * 1024}\r\n\r\n{"name":"`)
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain('urn:holdfast:error:body_too_large')
  })

  it('refuses a body that grows beyond 1 MiB without having said so', async () => {
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
    const head = `POST /v1/volumes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${rest.admin}\r\ncontent-type: application/json\r\n`
    const answer = await rawAsk(rest.url, `${head}transfer-encoding: chunked\r\n\r\n${chunk.repeat(17)}`)
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('answers what is no HTTP with a problem', async () => {
    const answer = await rawAsk(rest.url, 'hello?\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(JSON.parse(answer.slice(answer.indexOf('{')))).toMatchObject({ code: 'invalid_request', status: 400 })
  })

  it('answers headers that are too large with a problem', async () => {
    const answer = await rawAsk(rest.url, `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20 * 1024)}\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 431 /)
  })

  it.each([
    ['PUT', '/v1/volumes', 'GET, POST'],
    ['POST', '/v1/status', 'GET'],
    ['PATCH', '/v1/tokens/x', 'DELETE'],
    ['HEAD', '/healthz', 'GET'],
  ])('says what is allowed instead of %s %s', async (method, path, allow) => {
    const answer = await rest.ask(method, path)
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow])
  })

  it.each(['/v1/nothing', '/v2/volumes', '/', '/v1/volumes/a/b/c'])('finds nothing at %s', async (path) => {
    const { status, body } = await rest.ask('GET', path)
    expect([status, body.code]).toEqual([404, 'not_found'])
  })

  it('refuses a path that cannot be read', async () => {
    const { status, body } = await rest.ask('GET', '/v1/volumes/%zz')
    expect([status, body.code]).toEqual([400, 'invalid_request'])
  })

  it('refuses a body where none is taken', async () => {
    expect((await rest.ask('POST', '/v1/volumes/x/release', { force: true })).body.code).toBe('invalid_request')
  })

  it('is alive and unharmed after all that', async () => {
    expect((await rest.ask('GET', '/healthz')).body).toEqual({ status: 'alive' })
    expect((await rest.ask('GET', '/readyz')).status).toBe(200)
    expect((await rest.ask('GET', '/v1/volumes')).body.items).toEqual([])
    expect(rest.logLines.filter((line) => line.includes('went wrong inside'))).toEqual([])
  })
})
