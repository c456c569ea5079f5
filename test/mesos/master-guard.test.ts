import { describe, expect, onTestFinished, test } from 'vitest'
import { requiredAcls } from '../../src/mesos/acls.ts'
import { verifyGuard } from '../../src/mesos/guard.ts'
import { MesosHttp } from '../../src/mesos/http.ts'
import { MasterClient } from '../../src/mesos/master-client.ts'
import { systemClock } from '../../src/runtime/system-clock.ts'
import { startMesos } from '../support/mesos/cluster.ts'
import { TestFramework } from '../support/mesos/framework.ts'
import { testDir } from '../support/temp-dir.ts'
import { json, plain, SmallServer } from './master-server.ts'

const required = requiredAcls({ principal: 'holdfast', roles: ['ads'] })
const wishes = { principal: 'holdfast', required }

function open(url: string) {
  const http = new MesosHttp({ timeoutMs: 2000 })
  onTestFinished(() => http.close())
  return { client: new MasterClient(http, { url, recheck: () => undefined }, systemClock) }
}

function look(url: string) {
  return verifyGuard(open(url).client, wishes)
}

/** As an offer to the role has it. */
function allocated<T extends object>(resource: T): T & { allocation_info: { role: string } } {
  return { ...resource, allocation_info: { role: 'ads' } }
}

async function cluster(acls: unknown, agents = 1) {
  const options = { workDir: testDir(), acls, agents: Array.from({ length: agents }, () => ({})) }
  const mesos = await startMesos(options)
  onTestFinished(() => mesos.stop())
  return mesos
}

describe('the guard', () => {
  test('is verified with the ACLs that Holdfast prints', async () => {
    const mesos = await cluster(required)
    expect(await look(mesos.master.url)).toEqual({ state: 'verified', why: [] })
  })

  test('is absent without ACLs, for two reasons', async () => {
    const mesos = await cluster(undefined)
    expect(await look(mesos.master.url)).toEqual({
      state: 'absent',
      why: [
        'the master runs without --acls',
        'the master lets anybody unreserve what the principal "holdfast" reserved',
      ],
    })
  })

  test('is absent with a gap, and the gap is named', async () => {
    const { create_volumes: _, ...without } = required
    const mesos = await cluster(without)
    expect(await look(mesos.master.url)).toEqual({
      state: 'absent',
      why: [`by the master's ACLs, everybody may create persistent volumes for the role "ads"`],
    })
  })

  test('is absent with ACLs for another principal', async () => {
    const mesos = await cluster(requiredAcls({ principal: 'other', roles: ['ads'] }))
    const { state, why } = await look(mesos.master.url)
    expect(state).toBe('absent')
    expect(why).toHaveLength(3)
  })

  test('is unverified where nothing can be tried', async () => {
    const mesos = await cluster(required, 0)
    expect(await look(mesos.master.url)).toEqual({
      state: 'unverified',
      why: ['no agent is registered, so it could not be tried'],
    })
  })

  test('looking for it takes no offer away, not even of what our principal has reserved', async () => {
    const mesos = await cluster(undefined)
    const { client } = open(mesos.master.url)
    const reservations = [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }] as const
    const ours = { name: 'disk', type: 'SCALAR', scalar: { value: 10 }, reservations } as const
    const agent = { value: mesos.agents[0]?.id ?? '' }
    const reserve = { agent_id: agent, resources: [ours] }
    expect(await client.change({ type: 'RESERVE_RESOURCES', reserve_resources: reserve })).toEqual({ kind: 'accepted' })
    const framework = await TestFramework.connect(mesos.master.url, { name: 'f', roles: ['ads'] })
    onTestFinished(() => framework.teardown())
    const offer = await framework.waitOffer(
      ({ resources }) => resources.some((each) => each.reservations?.[0]?.principal === 'holdfast'),
      5000,
    )
    expect((await verifyGuard(client, wishes)).state).toBe('absent')
    // accepted: the offer was never rescinded, though by now another one could be there
    await framework.accept(
      [offer],
      [{ type: 'UNRESERVE', id: { value: 'u1' }, unreserve: { resources: [allocated(ours)] } }],
    )
    expect((await framework.operationStatus('u1')).state).toBe('OPERATION_FINISHED')
  })
})

describe('a master that is not clear', () => {
  /** Answers as a guarded one, but for what the test gives. */
  async function oddMaster(flags: Record<string, string>, unreserve: [status: number, text: string]) {
    return SmallServer.start((call, response) => {
      if (call.type === 'GET_FLAGS') {
        const list = Object.entries(flags).map(([name, value]) => ({ name, value }))
        return json(response, { type: 'GET_FLAGS', get_flags: { flags: list } })
      }
      if (call.type === 'GET_AGENTS') {
        const agents = [{ agent_info: { hostname: 'a1', id: { value: 'S0' } }, active: true }]
        return json(response, { type: 'GET_AGENTS', get_agents: { agents } })
      }
      return plain(response, ...unreserve)
    })
  }
  const acls = JSON.stringify(required)

  test.each<[string, Record<string, string>, [number, string], string, RegExp]>([
    ['its own authorizer', { authorizers: 'x_Authorizer', acls }, [403, ''], 'unverified', /"x_Authorizer"/],
    ['its own authorizer, open', { authorizers: 'x', acls }, [409, 'does not contain'], 'absent', /lets anybody/],
    ['ACLs that cannot be read', { acls: '}' }, [403, ''], 'unverified', /cannot be read/],
    ['a trial that is malformed to it', { acls }, [400, 'Invalid'], 'unverified', /malformed: "Invalid"/],
    ['a trial that it fails', { acls }, [500, 'boom'], 'unverified', /could not be tried/],
    ['wrong credentials for the trial', { acls }, [401, ''], 'unverified', /principal and secret/],
    ['ACLs that it does not act on', { acls }, [202, ''], 'absent', /lets anybody/],
  ])('by %s', async (_what, flags, unreserve, state, why) => {
    const master = await oddMaster(flags, unreserve)
    const guard = await look(master.url)
    expect(guard.state).toBe(state)
    expect(guard.why.join('\n')).toMatch(why)
  })

  test('by not answering at all', async () => {
    expect((await look('http://127.0.0.1:1')).state).toBe('unverified')
  })
})
