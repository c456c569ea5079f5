import { describe, expect, test } from 'vitest'
import { type ProviderFacts, providerHazards } from '../../../src/controller/mesos/provider-hazards.ts'
import type { ProviderReport } from '../../../src/controller/mesos/provider-reports.ts'
import type { MasterAgent } from '../../../src/mesos/master-protocol.ts'
import type { PoolMesos } from '../../../src/model/mesos.ts'
import { type Kept, node, pool, stateOf } from '../../placement/support/records.ts'

const mesos: PoolMesos = {
  ...{ roles: ['ads'], reservation: 'dynamic', unreserved: false },
  ...{ spread: 0, float: true, block: false, bandwidth: false },
}
const provider: Kept = [
  'provider',
  {
    ...{ id: 'node-n1.pool-a', nodeId: 'node-n1', poolId: 'pool-a', agentId: 'S1', providerId: 'p1' },
    ...{ bandwidth: 0, reserved: [], since: 0 },
  },
]
const records: readonly Kept[] = [['pool', pool('a', { mesos })], ['node', node('n1')], ['node', node('n2')], provider]

function agent(id: string, type?: string): [string, MasterAgent] {
  const info = { agent_info: { id: { value: id }, hostname: `host-${id}` } }
  const providers = type === undefined ? [] : [{ resource_provider_info: { type, name: 'x' } }]
  return [id, { ...info, resource_providers: providers }]
}

function look(set: Partial<ProviderFacts> = {}, kept = records) {
  const facts = { state: stateOf(...kept), connected: new Set(['node-n1']), reports: new Map(), agents: undefined }
  return providerHazards({ ...facts, ...set }).map(({ code, where, sentence }) => `${code} ${where}: ${sentence}`)
}

function reported(report: ProviderReport): ProviderFacts['reports'] {
  return new Map([['node-n1', { report }]])
}

describe('providers', () => {
  test('that are well are not mentioned, and none is where nothing is shown', () => {
    const report = { agent: { url: 'http://a', state: 'up' }, providers: [{ poolId: 'pool-a', state: 'open' }] }
    expect(look({ reports: reported(report), agents: new Map([agent('S1', 'org.holdfast.ceph')]) })).toEqual([])
    expect(look({ connected: new Set() }, [['pool', pool('a')], ['node', node('n1')], provider])).toEqual([])
  })

  test('that are not connected are', () => {
    expect(look({ connected: new Set() })).toEqual([expect.stringMatching(/^provider_away node n1: /)])
  })

  test('that say what is wrong are quoted', () => {
    const away = { agent: { url: 'http://a', state: 'away', problem: 'ECONNREFUSED' }, providers: [] }
    expect(look({ reports: reported(away) })).toEqual([
      'provider_trouble node n1: its agent at http://a is not connected: ECONNREFUSED',
    ])
    const none = { poolId: 'pool-a', state: 'none', problem: '401' }
    const gone = { poolId: 'pool-a', state: 'torn-down' }
    const report = { agent: { url: 'http://a', state: 'up' }, providers: [none, gone] }
    expect(look({ reports: reported(report) })).toEqual([
      'provider_trouble node n1: its provider of pool ceph~a~a is not connected: 401',
      'provider_trouble node n1: its provider of pool ceph~a~a is marked gone',
    ])
  })

  test('with an agent that the master does not know are, and agents without one', () => {
    const agents = new Map([agent('S2'), agent('S3', 'org.acme.disk')])
    expect(look({ agents })).toEqual([
      expect.stringMatching(/^agent_unknown node n1: the master does not know its agent S1/),
      'provider_missing the agents: 2 of 2 have no provider of Holdfast: host-S2, host-S3',
    ])
  })

  test('missing from a thousand agents are one sentence', () => {
    const many = new Map(Array.from({ length: 1000 }, (_, index) => agent(`S${index + 10}`)))
    const [, missing = ''] = look({ agents: many })
    expect(missing).toMatch(/^provider_missing the agents: 1000 of 1000 .* and 990 more$/)
  })
})
