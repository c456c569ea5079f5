import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/cli/config.ts'
import { requiredAcls } from '../../src/mesos/acls.ts'
import { mesosFor, ownDir, type Watched, watch } from '../controller/mesos/support/watched.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { ended, holdfast, masked, type Ran, start } from './holdfast.ts'

const POOL = 'loop~row8~hdd'
const acls = requiredAcls({ principal: 'holdfast', roles: ['ads'] })

function run({ api, token }: Watched, ...args: string[]): Promise<Ran> {
  return holdfast(['mesos', ...args], { HOLDFAST_API: api, HOLDFAST_TOKEN: token })
}

/** A controller that watches a master, with a pool of the role ads, a node, and what its provider says. */
async function world(given: object | null = acls) {
  const credentials = [{ principal: 'holdfast', secret: 's' }]
  const mesos = await mesosFor({ acls: given ?? undefined, credentials })
  const watched = await watch({ masters: mesos.master.url, secret: 's' })
  const { node, id: poolId } = await watched.pool(POOL, { roles: ['ads'] })
  await watched.guardIs(given === null ? 'absent' : 'verified')
  return { mesos, watched, node, poolId }
}

describe('holdfast mesos status', () => {
  test('tells the guard, the masters, the pools and the providers', async () => {
    const { mesos, watched, node, poolId } = await world()
    const agentId = mesos.agents[0]?.id ?? ''
    const command = { kind: 'provider.set', nodeId: node.nodeId, poolId, agentId, providerId: 'p1' } as const
    await watched.controller.engine.submit({ actor: 'test', command })
    const lastFailure = { message: 'the node has no room', at: new Date().toISOString() }
    const said = {
      state: 'open',
      version: 'AbCdEfGhIjKl',
      operations: 2,
      advertisedMiB: 10_000,
      disks: 3,
      usedDisks: 1,
    }
    const report = {
      agent: { url: 'http://127.0.0.1:5051', agentId, state: 'up' },
      providers: [{ poolId, ...said, lastFailure }],
    }
    watched.controller.providerReports.set(node.nodeId, report, Date.now())
    const { code, out } = await run(watched, 'status')
    expect(code).toBe(0)
    const text = masked(out)
    expect(text).toMatch(/^guard verified for \d+s, principal holdfast\n/)
    expect(text).toContain(`${mesos.master.url} yes 1.12.0 -`)
    expect(text).toContain(`${POOL} ads reserved float prompt 1`)
    expect(text).toContain('1 agents, 0 frameworks, 0 tasks')
    // its process has no stream here
    expect(text).toMatch(new RegExp(`on-hdd a1 ${POOL} lost AbCdEf 9.8GiB 1/3 - 2\\n`))
    expect(text).toMatch(/a task could not start AGE ago: the node has no room/)
    const json = JSON.parse((await run(watched, 'status', '-o', 'json')).out)
    expect(json).toMatchObject({ guard: { state: 'verified' }, providers: [{ report: { lastFailure } }] })
  })

  test('says why the guard is not verified, and so does holdfast status', async () => {
    const { watched } = await world(null)
    expect((await run(watched, 'status')).out).toMatch(/^guard absent .*\n {2}the master runs without --acls\n/)
    const { out } = await holdfast(['status'], { HOLDFAST_API: watched.api, HOLDFAST_TOKEN: watched.token })
    expect(out).toContain('! the guard of Mesos is absent (the master runs without --acls')
    await watched.showPool(POOL, null as never)
    const quiet = await holdfast(['status'], { HOLDFAST_API: watched.api, HOLDFAST_TOKEN: watched.token })
    expect(quiet.out).not.toContain('guard')
  })
})

describe('holdfast mesos doctor', () => {
  test('exits with 1 when something endangers the cluster, the worst first, each with its advice', async () => {
    const { watched } = await world(null)
    const { code, out } = await run(watched, 'doctor')
    expect(code).toBe(1)
    expect(out).toContain('danger  the masters  guard_absent\n  their ACLs do not protect what is shown: ')
    expect(out).toContain('  → holdfast mesos acls --merge FILE')
    const severities = [...out.matchAll(/^(stops|danger|note)/gm)].map(([, severity]) => severity)
    expect(severities.lastIndexOf('danger')).toBeLessThan(severities.indexOf('note'))
    const json = JSON.parse((await run(watched, 'doctor', '-o', 'json')).out)
    expect(json.map((each: { code: string }) => each.code)).toContain('guard_absent')
  })

  test('exits with 0 when there is nothing, or nothing but notes', async () => {
    const watched = await watch({})
    expect(await run(watched, 'doctor')).toMatchObject({ code: 0, out: 'nothing wrong was found\n' })
  })

  test('exits with 1 when pools are shown and nobody looks at the masters', async () => {
    const watched = await watch({})
    await watched.pool(POOL, { roles: ['ads'] })
    const { code, out } = await run(watched, 'doctor')
    expect([code, out]).toEqual([1, expect.stringContaining('masters_not_set')])
  })
})

describe('holdfast mesos acls', () => {
  test('prints what a master must be started with', async () => {
    const watched = await watch({})
    await watched.pool(POOL, { roles: ['ads'] })
    const { code, out } = await run(watched, 'acls')
    expect([code, JSON.parse(out)]).toEqual([0, acls])
    const more = JSON.parse((await run(watched, 'acls', '--roles', 'next,other')).out)
    expect(more).toEqual(requiredAcls({ principal: 'holdfast', roles: ['ads', 'next', 'other'] }))
    const refused = await run(watched, 'acls', '--roles', '*')
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('role')])
  })

  test('merges them into what the masters have, as often as you like', async () => {
    const watched = await watch({})
    await watched.pool(POOL, { roles: ['ads'] })
    const file = join(testDir(), 'acls.json')
    const others = [{ principals: { values: ['ops'] }, creator_principals: { type: 'ANY' } }]
    const mine = { permissive: false, destroy_volumes: others, get_endpoints: [{ principals: {}, paths: {} }] }
    writeFileSync(file, JSON.stringify(mine))
    const printed = await run(watched, 'acls', '--merge', file)
    expect(JSON.parse(printed.out)).toEqual({
      ...acls,
      ...mine,
      destroy_volumes: [...acls.destroy_volumes, ...others],
    })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(mine)
    const written = await run(watched, 'acls', '--merge', file, '--output-file', file)
    expect(written).toMatchObject({ code: 0, out: '', err: expect.stringContaining(`--acls=${file}`) })
    expect(readFileSync(file, 'utf8')).toBe(printed.out)
    await run(watched, 'acls', '--merge', file, '--output-file', file)
    expect(readFileSync(file, 'utf8')).toBe(printed.out)
    expect(existsSync(`${file}.partial`)).toBe(false)
  })

  test.each([
    ['{"destroy_volumes": {}}', 'destroy_volumes'],
    ['{"destroy_volumes": [{"principals": {}, "roles": {}}]}', '"roles"'],
    ['[]', 'JSON object'],
    ['permissive: true', 'JSON'],
  ])('refuses a file that it does not understand: %s', async (text, says) => {
    const watched = await watch({})
    const file = join(testDir(), 'acls.json')
    writeFileSync(file, text)
    const { code, out, err } = await run(watched, 'acls', '--merge', file, '--output-file', file)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(file)
    expect(err).toContain(says)
    expect(readFileSync(file, 'utf8')).toBe(text)
  })
})

describe('the settings of the controller for Mesos', () => {
  async function refusal(environment: Record<string, string>): Promise<string> {
    const home = { HOME: '/nonexistent' }
    return loadConfig({ environment: { ...home, ...environment } }).then(
      () => expect.fail('it was accepted'),
      (thrown: Error) => thrown.message,
    )
  }

  test('have defaults', async () => {
    const { controller } = (await loadConfig({ environment: { HOME: '/nonexistent' } })).config
    expect(controller.mesos).toEqual({ principal: 'holdfast', tls: false })
  })

  test.each([
    ['m1:5050', /^HOLDFAST_CONTROLLER_MESOS_MASTERS: controller.mesos.masters: .*"m1:5050" is no http/],
    ['zk://h1', /has no path, such as \/mesos/],
    ['http://holdfast:geheim@m1', /credentials belong into their own setting/],
  ])('refuse masters that cannot be read: %s', async (masters, says) => {
    const message = await refusal({ HOLDFAST_CONTROLLER_MESOS_MASTERS: masters })
    expect(message).toMatch(says)
    expect(message).not.toContain('geheim')
  })

  test('refuse credentials without masters, and a principal that Basic authentication cannot carry', async () => {
    expect(await refusal({ HOLDFAST_CONTROLLER_MESOS_SECRET_FILE: '/x' })).toBe(
      'HOLDFAST_CONTROLLER_MESOS_SECRET_FILE: controller.mesos.secretFile: controller.mesos.masters is needed with it',
    )
    expect(await refusal({ HOLDFAST_CONTROLLER_MESOS_PRINCIPAL: 'a:b' })).toContain('must be a principal')
  })

  test.each([
    ['two words\n', 'the secret alone'],
    ['', 'the secret alone'],
    [undefined, 'ENOENT'],
  ])('refuse a secret file with %j', async (text, says) => {
    const file = join(testDir(), 'secret')
    if (text !== undefined) writeFileSync(file, text)
    const flags = ['--mesos-masters', 'http://127.0.0.1:1', '--mesos-secret-file', file]
    const { code, err } = await holdfast(['controller', 'run', '--state', ownDir(), ...flags])
    expect(code).toBe(2)
    expect(err).toContain(file)
    expect(err).toContain('from --mesos-secret-file')
    expect(err).toContain(says)
  })

  test('reach the controller: it watches with them', async () => {
    const mesos = await mesosFor({ acls, credentials: [{ principal: 'storage', secret: 'right' }] })
    const secret = join(testDir(), 'secret')
    writeFileSync(secret, 'right\n')
    const flags = ['--mesos-masters', mesos.master.url, '--mesos-principal', 'storage', '--mesos-secret-file', secret]
    const child = start(['controller', 'run', '--listen', '127.0.0.1:0', '--state', ownDir(), ...flags])
    const gone = ended(child)
    onTestFinished(async () => {
      child.kill('SIGTERM')
      await gone
    })
    let log = ''
    child.stderr.on('data', (text: string) => (log += text))
    const told = () => /"type":"?guard.set|"event":"guard.set".*"state":"(\w+)"/.exec(log)?.[0]
    // the ACLs are for another principal
    expect(await until(told, { what: 'a verdict' })).toContain('absent')
  })
})
