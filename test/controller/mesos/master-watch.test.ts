import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { requiredAcls } from '../../../src/mesos/acls.ts'
import { json, leads, plain, SmallServer } from '../../mesos/master-server.ts'
import { ZOOKEEPER_NEEDS, ZooKeeperServers, ZooKeeperWriter } from '../../mesos/zookeeper-server.ts'
import type { Mesos } from '../../support/mesos/cluster.ts'
import { TestFramework } from '../../support/mesos/framework.ts'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { mesosFor, ownDir, type Watched, watch } from './support/watched.ts'

const POOL = 'loop~row8~hdd'
const acls = requiredAcls({ principal: 'holdfast', roles: ['ads'] })

/** A guarded Mesos that is shown a pool of the role ads. */
async function guarded(): Promise<{ mesos: Mesos; watched: Watched }> {
  const mesos = await mesosFor({ acls })
  const watched = await watch({ masters: mesos.master.url })
  await watched.pool(POOL, { roles: ['ads'] })
  await watched.guardIs('verified')
  return { mesos, watched }
}

function codes({ hazards }: { readonly hazards: readonly { readonly code: string }[] }): string[] {
  return hazards.map(({ code }) => code)
}

describe('the guard', () => {
  test('is verified with the ACLs that the controller prints, and told to the ledger once', async () => {
    const watched = await watch({ masters: (await mesosFor({ acls })).master.url })
    await watched.pool(POOL, { roles: ['ads'] })
    expect((await watched.ask('GET', '/v1/mesos/acls')).body).toEqual(acls)
    await watched.guardIs('verified')
    // each of these is a reason to look again
    for (const spread of [1, 2, 3]) await watched.showPool(POOL, { roles: ['ads'], spread })
    await watched.showPool(POOL, { roles: ['ads', 'web'] })
    await watched.guardIs('absent', /create persistent volumes for the role "web"/)
    expect(watched.verdicts.at(-2)).toBe('verified')
    expect(watched.verdicts.filter((each) => each === 'verified')).toHaveLength(1)
  })

  test('falls when a master without ACLs takes over, and comes back with them', async () => {
    const { mesos, watched } = await guarded()
    expect((await watched.ask('GET', '/v1/status')).body).not.toHaveProperty('mesosGuard')
    await mesos.master.restart({ acls: undefined })
    await watched.guardIs('absent', /the master runs without --acls/)
    expect((await watched.ask('GET', '/v1/status')).body.mesosGuard).toMatchObject({ state: 'absent' })
    expect(codes(await watched.status())).toContain('guard_absent')
    await mesos.master.restart({ acls })
    await watched.guardIs('verified')
    expect(codes(await watched.status())).not.toContain('guard_absent')
  })

  test('outlasts a fail-over: nothing moves while agents are still coming back', async () => {
    const { mesos, watched } = await guarded()
    const before = [...watched.verdicts]
    const agents = async () => (await watched.status()).cluster?.agentCount
    mesos.links.hold('agent->master', mesos.agents[0]?.id)
    await mesos.master.restart()
    await until(async () => (await agents()) === 0, { what: 'the new leader to have no agent' })
    mesos.links.release('agent->master', mesos.agents[0]?.id)
    await until(async () => (await agents()) === 1, { what: 'the agent to be back' })
    // which shows that it has been looked at since
    await watched.showPool(POOL, { roles: ['web'] })
    await watched.guardIs('absent')
    expect(watched.verdicts).toEqual([...before, 'absent'])
  })

  test('is not verified with ACLs that cannot be understood', async () => {
    const watched = await watch({ masters: (await mesosFor({ acls: { destroy_volumes: [{}] } })).master.url })
    await watched.guardIs('absent', /lets anybody unreserve/)
    expect((await watched.status()).guard.why.join()).toContain("the master's ACLs cannot be read")
  })

  test('is absent when a master that may lead next has no ACLs', async () => {
    const mesos = await mesosFor({ acls })
    const next = await mesosFor({ agents: [], leading: mesos.master.url })
    const watched = await watch({ masters: `${next.master.url},${mesos.master.url}` })
    await watched.guardIs('absent', /at http.*, which may lead next: the master runs without --acls/)
    expect((await watched.status()).masters).toEqual([
      { url: mesos.master.url, leading: true, version: '1.12.0' },
      { url: next.master.url, leading: false },
    ])
  })

  test('is verified though a master that may lead next is away, and that is said', async () => {
    const mesos = await mesosFor({ acls })
    const watched = await watch({ masters: `${mesos.master.url},http://127.0.0.1:1` })
    await watched.guardIs('verified')
    const { masters, hazards } = await watched.status()
    expect(masters[1]).toMatchObject({ url: 'http://127.0.0.1:1', leading: false, trouble: expect.any(String) })
    expect(hazards.find(({ code }) => code === 'master_unseen')).toMatchObject({ severity: 'danger' })
  })

  test('that an earlier run has seen is forgotten when nobody watches any more', async () => {
    const mesos = await mesosFor({ acls })
    const state = ownDir()
    const first = await watch({ masters: mesos.master.url, state })
    await first.guardIs('verified')
    await first.stop()
    const second = await watch({ state })
    await second.guardIs('unverified', /no masters are configured/)
    expect((await second.status()).masters).toEqual([])
  })
})

describe('credentials', () => {
  const credentials = [{ principal: 'holdfast', secret: 'right' }]

  test('that are right are used', async () => {
    const mesos = await mesosFor({ acls, credentials })
    const watched = await watch({ masters: mesos.master.url, secret: 'right' })
    await watched.guardIs('verified')
  })

  test.each([{ secret: 'not-the-one' }, {}])('that are wrong are told: %j', async (given) => {
    const mesos = await mesosFor({ acls, credentials })
    const watched = await watch({ masters: mesos.master.url, ...given })
    await watched.guardIs('unverified', /principal and secret are missing or wrong/)
    const said = async () =>
      (await watched.status()).hazards.find(
        ({ code, sentence }) => code === 'masters_unreachable' && /principal and secret/.test(sentence),
      )
    expect(await until(said, { what: 'the reason' })).toMatchObject({ severity: 'stops' })
    expect(JSON.stringify([watched.logged, await watched.status()])).not.toContain('not-the-one')
  })
})

describe('what a master says', () => {
  test('of agents, frameworks and tasks is shown', async () => {
    const { mesos, watched } = await guarded()
    const framework = await TestFramework.connect(mesos.master.url, { name: 'f', roles: ['ads'] })
    onTestFinished(() => framework.teardown())
    const cluster = async () => (await watched.status()).cluster
    const isThere = async () => (await cluster())?.frameworks === 1
    await until(isThere, { what: 'the framework to be known' })
    await mesos.addAgent()
    await until(async () => (await cluster())?.agentCount === 2, { what: 'the second agent to be known' })
    const { hazards } = await watched.status()
    expect(hazards.find(({ code }) => code === 'provider_missing')?.sentence).toBe(
      '2 of 2 have no provider of Holdfast: a1, a2',
    )
  })

  test('of an agent is a hint: what its node holds stays held', async () => {
    const mesos = await mesosFor({ acls })
    const watched = await watch({ masters: mesos.master.url })
    const { node, id: poolId } = await watched.pool(POOL, { roles: ['ads'] })
    const agentId = mesos.agents[0]?.id ?? ''
    const command = { kind: 'provider.set', nodeId: node.nodeId, poolId, agentId, providerId: 'p' } as const
    await watched.controller.engine.submit({ actor: 'test', command })
    await watched.ask('POST', '/v1/volumes?wait=20', { name: 'v', sizeMiB: 100, role: 'ads', pool: POOL })
    const claim = { volume: 'v', node: node.name, user: { id: randomUUID() } }
    const attached = await watched.ask('POST', '/v1/attachments?wait=20', claim)
    expect(attached.body.attachment).toMatchObject({ state: 'mounted' })
    const events = watched.controller.engine.read((state) => state.revision)
    mesos.master.markAgentGone(agentId)
    const hinted = async () => (await watched.status()).cluster?.hints.find((each) => each.agentId === agentId)
    expect(await until(hinted, { what: 'the hint' })).toMatchObject({ sentence: 'the master has removed it' })
    expect(watched.logged.some(({ event }) => event === 'mesos.hint')).toBe(true)
    const { hazards } = await watched.status()
    expect(hazards.find(({ code }) => code === 'agent_unknown')).toMatchObject({ where: `node ${node.name}` })
    // the ledger was not even asked
    expect(await watched.controller.engine.read((state) => state.revision)).toBe(await events)
    expect((await watched.ask('GET', `/v1/attachments/${attached.body.attachment.id}`)).body).toMatchObject({
      state: 'mounted',
    })
  })

  test('is counted for Prometheus', async () => {
    const { mesos, watched } = await guarded()
    const metrics = async () => (await watched.ask('GET', '/metrics')).body as string
    expect(await metrics()).toMatch(/^holdfast_mesos_guard 1$/m)
    expect(await metrics()).toMatch(/^holdfast_mesos_masters_connected 1$/m)
    expect(await metrics()).toMatch(/^holdfast_mesos_providers_connected 0$/m)
    mesos.master.kill()
    await until(async () => /^holdfast_mesos_masters_connected 0$/m.test(await metrics()), { what: 'the loss' })
    // nobody was found to have changed anything
    expect(await metrics()).toMatch(/^holdfast_mesos_guard 1$/m)
  })
})

test('masters behind TLS are watched with their authority', async () => {
  const dir = testDir()
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...made, ...subject], { stdio: 'ignore' })
  const ca = readFileSync(cert, 'utf8')
  const master = await SmallServer.start(guardedMaster, { key: readFileSync(key, 'utf8'), cert: ca })
  const watched = await watch({ masters: master.url, ca })
  await watched.guardIs('verified')
  const stranger = await watch({ masters: master.url })
  const said = async () => (await stranger.status()).hazards.find(({ sentence }) => /certificate/.test(sentence))
  expect(await until(said, { what: 'the reason' })).toMatchObject({ code: 'masters_unreachable' })
})

/** Answers as a master that leads, has ACLs and an agent, and ends its stream of events at once. */
function guardedMaster(...[call, response, server]: Parameters<ReturnType<typeof leads>>): unknown {
  const flags = { acls: JSON.stringify(acls) }
  // of the old endpoint
  if (call.type === '') return json(response, { flags })
  if (call.type === 'GET_MASTER') return leads('m-tls')(call, response, server)
  if (call.type === 'GET_FLAGS') {
    return json(response, { type: call.type, get_flags: { flags: [{ name: 'acls', value: flags.acls }] } })
  }
  if (call.type === 'GET_AGENTS') {
    const agents = [{ agent_info: { hostname: 'a1', id: { value: 'S0' } }, active: true }]
    return json(response, { type: call.type, get_agents: { agents } })
  }
  return plain(response, call.type === 'UNRESERVE_RESOURCES' ? 403 : 503, '')
}

needs(...ZOOKEEPER_NEEDS).test(
  'masters that stand in a ZooKeeper are all asked, and followed when the lead changes',
  async () => {
    const servers = await ZooKeeperServers.start(testDir())
    onTestFinished(() => servers.stop())
    const writer = async () => {
      const client = await ZooKeeperWriter.open(servers.ports[0] as number)
      onTestFinished(() => client.close())
      return client
    }
    const [one, two] = [await mesosFor({ acls }), await mesosFor({ agents: [] })]
    const info = ({ master }: Mesos) => {
      const { port } = new URL(master.url)
      return JSON.stringify({ id: master.id, port: Number(port), address: { ip: '127.0.0.1', port: Number(port) } })
    }
    const [first, second] = [await writer(), await writer()]
    await first.create('/mesos')
    await first.stand('/mesos', info(one))
    const watched = await watch({ masters: `zk://${servers.addresses}/mesos` })
    await watched.guardIs('verified')
    await second.stand('/mesos', info(two))
    // another node under the path is seen by the next look, and a change of a pool is a reason for one
    await watched.pool(POOL, { roles: ['ads'] })
    await watched.guardIs('absent', /may lead next/)
    await first.close()
    await watched.guardIs('absent', /^the master runs without --acls/)
    expect((await watched.status()).masters).toMatchObject([{ url: two.master.url, leading: true }])
  },
)
