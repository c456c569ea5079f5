import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adminToken } from '../../../src/controller/http/auth.ts'
import { ROUTES } from '../../../src/controller/http/routes.ts'
import { digest, newSecret } from '../../../src/runtime/secrets.ts'
import { NodeClient } from '../../support/node-client.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { type Rest, startRest } from './rest.ts'

let rest: Rest
let node: NodeClient
const tokens: Record<string, string> = {}
const POOL = 'loop~auth~a'

beforeAll(async () => {
  rest = await startRest()
  node = await rest.node('node-1')
  await rest.pool(POOL, node)
  for (const role of ['operator', 'reader', 'join']) tokens[role] = await rest.token(role)
  tokens.framework = await rest.token('framework', { roles: ['ads'] })
  tokens.node = node.secret
  tokens.admin = rest.admin
  await rest.ask('POST', '/v1/volumes?wait=20', { name: 'of-ads', sizeMiB: 10, role: 'ads' })
  await rest.ask('POST', '/v1/volumes?wait=20', { name: 'of-db', sizeMiB: 10, role: 'db' })
})
afterAll(() => rest.close())

describe('a token', () => {
  it.each([
    ['none', {}],
    ['another scheme', { authorization: 'Basic YTpi' }],
    ['nothing after Bearer', { authorization: 'Bearer ' }],
    ['an unknown one', { authorization: `Bearer ${newSecret()}` }],
  ])('is needed: %s is answered 401', async (_what, headers) => {
    const answer = await rest.ask('GET', '/v1/volumes', undefined, { token: undefined, headers })
    expect([answer.status, answer.body.code]).toEqual([401, 'unauthenticated'])
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
  })

  it('is looked at before the body is', async () => {
    const answer = await rest.ask('POST', '/v1/volumes', 'not json', { token: newSecret() })
    expect(answer.status).toBe(401)
  })

  it('ends when it is revoked', async () => {
    const made = await rest.ask('POST', '/v1/tokens', { tokenRole: 'reader', note: 'passing' })
    const mine = { token: made.body.secret as string }
    expect((await rest.ask('GET', '/v1/volumes', undefined, mine)).status).toBe(200)
    expect((await rest.ask('DELETE', `/v1/tokens/${made.body.token.id}`)).body.note).toBe('passing')
    expect((await rest.ask('GET', '/v1/volumes', undefined, mine)).status).toBe(401)
  })

  it('ends at its time', async () => {
    const token = await rest.token('reader', { expiresInSeconds: 1 })
    const status = async () => (await rest.ask('GET', '/v1/volumes', undefined, { token })).status
    expect(await status()).toBe(200)
    await until(async () => (await status()) === 401, { what: 'the end of the token' })
  })

  it('is never shown again, nor its hash', async () => {
    const { body } = await rest.ask('GET', '/v1/tokens?limit=1000')
    expect(body.items.length).toBeGreaterThan(4)
    for (const secret of Object.values(tokens)) {
      expect(JSON.stringify(body)).not.toContain(secret)
      expect(JSON.stringify(body)).not.toContain(digest(secret))
      expect(rest.logLines.join('')).not.toContain(secret)
    }
  })

  it('of a framework needs roles, and no other token has them', async () => {
    expect((await rest.ask('POST', '/v1/tokens', { tokenRole: 'framework' })).body.code).toBe('invalid_option')
    expect((await rest.ask('POST', '/v1/tokens', { tokenRole: 'reader', roles: ['a'] })).body.code).toBe(
      'invalid_option',
    )
  })
})

describe('the matrix of token roles', () => {
  const open = ['/healthz', '/readyz', '/metrics', '/openapi.json']
  const streams = ['/v1/events', '/v1/node/stream', '/v1/mesos/stream']
  const rows = ROUTES.filter((each) => !open.includes(each.path) && !streams.includes(each.path))
  it.each(rows.map((each) => [each.method, each.path, each] as const))('holds at %s %s', async (method, path, each) => {
    const url = path.replaceAll(/:\w+/g, 'nothing-of-that-name')
    for (const role of ['operator', 'reader', 'framework', 'node', 'join']) {
      const answer = await rest.ask(method, url, undefined, { token: tokens[role] })
      const may = each.access === 'join' ? role === 'join' : each.access.includes(role as never)
      const refused = answer.status === 403 && answer.body.code === 'forbidden'
      expect({ role, refused }).toEqual({ role, refused: each.access === 'join' ? refused : !may })
    }
  })

  it.each([
    ['GET', '/v1/tokens', ['admin']],
    ['POST', '/v1/pools', ['admin', 'operator']],
    ['GET', '/v1/status', ['admin', 'operator', 'reader']],
    ['POST', '/v1/explain', ['admin', 'operator', 'reader', 'framework', 'node']],
    ['POST', '/v1/attachments', ['admin', 'operator', 'node']],
    ['POST', '/v1/volumes', ['admin', 'operator', 'framework', 'node']],
    ['GET', '/v1/pools', ['admin', 'operator', 'reader', 'node']],
    ['POST', '/v1/node/hello', ['node']],
    ['GET', '/v1/mesos/stream', ['node']],
    ['POST', '/v1/mesos/disks', ['node']],
    ['GET', '/v1/mesos', ['admin', 'operator', 'reader']],
    ['PUT', '/v1/profiles/:profile', ['admin', 'operator']],
    ['POST', '/v1/clock/confirm', ['admin', 'operator']],
  ])('has %s %s for %j', async (method, path, wanted) => {
    expect(ROUTES.find((each) => each.method === method && each.path === path)?.access).toEqual(wanted)
  })
})

describe('a framework', () => {
  const as = () => ({ token: tokens.framework })

  it('sees what its roles own, and nothing else', async () => {
    const { body } = await rest.ask('GET', '/v1/volumes', undefined, as())
    expect(body.items.map((each: { name: string }) => each.name)).toEqual(['of-ads'])
    expect((await rest.ask('GET', '/v1/volumes/of-ads', undefined, as())).status).toBe(200)
    expect((await rest.ask('GET', '/v1/volumes/of-db', undefined, as())).body.code).toBe('role_not_allowed')
    expect((await rest.ask('GET', '/v1/volumes?role=db', undefined, as())).body.items).toEqual([])
  })

  it('changes what its roles own, and nothing else', async () => {
    for (const [method, path, body] of [
      ['DELETE', '/v1/volumes/of-db', undefined],
      ['PATCH', '/v1/volumes/of-db', { protected: true }],
      ['POST', '/v1/volumes/of-db/resize', { sizeMiB: 20 }],
      ['POST', '/v1/snapshots', { volume: 'of-db', name: 's' }],
      ['POST', '/v1/volumes', { name: 'x', sizeMiB: 1, role: 'db' }],
      ['POST', '/v1/volumes', { name: 'x', sizeMiB: 1, role: 'ads', from: { volume: 'of-db' } }],
      ['POST', '/v1/holds', { pool: POOL, sizeMiB: 1, role: 'db' }],
      ['POST', '/v1/explain', { volumes: [{ name: 'x', sizeMiB: 1, role: 'db' }] }],
      [
        'POST',
        '/v1/groups',
        {
          volumes: [
            { name: 'x', sizeMiB: 1, role: 'ads' },
            { name: 'y', sizeMiB: 1, role: 'db' },
          ],
        },
      ],
    ] as const) {
      const answer = await rest.ask(method, path, body, as())
      expect([method, path, answer.body.code]).toEqual([method, path, 'role_not_allowed'])
    }
  })

  it('needs not name its only role', async () => {
    const { status, body } = await rest.ask('POST', '/v1/volumes', { name: 'implied', sizeMiB: 1 }, as())
    expect([status, body.volume.role, body.volume.createdBy]).toEqual([
      202,
      'ads',
      expect.stringMatching(/^token tok-/),
    ])
  })
})

describe('a node', () => {
  it('speaks for its doors, and so does an operator, who stays one', async () => {
    const header = { headers: { 'holdfast-door': 'docker' } }
    const asNode = await rest.ask(
      'POST',
      '/v1/volumes',
      { name: 'by-docker', sizeMiB: 1, fingerprint: 'f' },
      { token: node.secret, ...header },
    )
    expect(asNode.body.volume.createdBy).toBe('node node-1 via docker')
    const asOperator = await rest.ask(
      'POST',
      '/v1/volumes',
      { name: 'not-docker', sizeMiB: 1 },
      { token: tokens.operator, ...header },
    )
    expect(asOperator.body.volume.createdBy).toMatch(/^token .* via docker$/)
    const again = await rest.ask(
      'POST',
      '/v1/volumes',
      { name: 'by-docker', sizeMiB: 1, fingerprint: 'f' },
      { token: node.secret, ...header },
    )
    expect(again.body.volume.id).toBe(asNode.body.volume.id)
    const other = await rest.ask(
      'POST',
      '/v1/volumes',
      { name: 'by-docker', sizeMiB: 1, fingerprint: 'g' },
      { token: node.secret, ...header },
    )
    expect(other.body.code).toBe('name_taken')
  })

  it('joins once with a join token, and gets the lost answer again by the same request', async () => {
    const join = await rest.token('join')
    const client = new NodeClient({ url: rest.url, name: 'joiner' })
    const first = await client.join(join)
    const again = await client.join(join)
    expect([first.status, again.status]).toEqual([201, 201])
    expect(again.body).toMatchObject({ node: { id: first.body.node.id }, installation: first.body.installation })
    const other = new NodeClient({ url: rest.url, name: 'other' })
    expect((await other.join(join)).status).toBe(401)
    await client.hello()
    expect(client.nodeId).toBe(first.body.node.id)
    await Promise.all([client.close(), other.close()])
  })

  it('joins once when the same request comes many times at once', async () => {
    const join = await rest.token('join')
    const client = new NodeClient({ url: rest.url, name: 'impatient' })
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.join(join)))
    expect(answers.map((each) => each.status)).toEqual(Array(8).fill(201))
    expect(new Set(answers.map((each) => each.body.node.id)).size).toBe(1)
    await client.close()
  })

  it('cannot take the credential or the name of another', async () => {
    const body = { name: 'node-1', machineId: 'another', credentialHash: digest(newSecret()) }
    const name = await rest.ask('POST', '/v1/nodes/join', body, { token: await rest.token('join') })
    expect(name.body.code).toBe('name_taken')
    const stolen = { name: 'thief', machineId: 'm', credentialHash: digest(node.secret) }
    const credential = await rest.ask('POST', '/v1/nodes/join', stolen, { token: await rest.token('join') })
    expect(credential.body.code).toBe('name_taken')
    expect((await rest.ask('GET', '/v1/pools', undefined, { token: node.secret })).status).toBe(200)
  })

  it('loses its credential when it is removed', async () => {
    const client = new NodeClient({ url: rest.url, name: 'leaver' })
    await client.join(await rest.token('join'))
    expect((await rest.ask('DELETE', '/v1/nodes/leaver')).status).toBe(200)
    expect((await rest.ask('GET', '/v1/pools', undefined, { token: client.secret })).status).toBe(401)
    await client.close()
  })
})

describe('the admin token', () => {
  it('is made for its owner alone, and is the same at the next start', async () => {
    const dir = testDir()
    const secret = await adminToken(dir)
    expect(statSync(join(dir, 'admin.token')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(dir, 'admin.token'), 'utf8').trim()).toBe(secret)
    expect(await adminToken(dir)).toBe(secret)
  })

  it.each([0o640, 0o604, 0o660])('is refused when its mode is %o', async (mode) => {
    const dir = testDir()
    await adminToken(dir)
    chmodSync(join(dir, 'admin.token'), mode)
    await expect(adminToken(dir)).rejects.toMatchObject({ code: 'state_dir' })
  })

  it('is refused when the file holds no token', async () => {
    const dir = testDir()
    writeFileSync(join(dir, 'admin.token'), '\n', { mode: 0o600 })
    await expect(adminToken(dir)).rejects.toMatchObject({ code: 'state_dir' })
  })

  it('cannot be made where there is no folder', async () => {
    await expect(adminToken('/nonexistent/holdfast')).rejects.toMatchObject({ code: 'state_dir' })
  })
})
