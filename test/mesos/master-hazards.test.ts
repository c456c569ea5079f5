import { describe, expect, test } from 'vitest'
import { agentHazards } from '../../src/mesos/agent-hazards.ts'
import type { Hazard } from '../../src/mesos/hazards.ts'
import { masterHazards } from '../../src/mesos/master-hazards.ts'

const codes = (hazards: Hazard[]) => hazards.map(({ code, severity }) => `${code} ${severity}`)

const soundMaster = {
  min_allocatable_resources: 'cpus:0.01|mem:32|disk:1',
  authenticate_http_readwrite: 'true',
  authenticate_http_frameworks: 'true',
  authenticate_frameworks: 'true',
}
const master = (flags: Record<string, string>, more: object = {}) =>
  masterHazards({ version: '1.11.0', flags: new Map(Object.entries(flags)), frameworks: [], principal: 'hf', ...more })

describe('at a master', () => {
  test('nothing is found where all is well', () => {
    expect(master(soundMaster)).toEqual([])
    expect(master({ ...soundMaster, min_allocatable_resources: '' })).toEqual([])
  })

  test('the default hides volumes while processors are taken', () => {
    const { min_allocatable_resources: _, ...flags } = soundMaster
    const [hazard] = master(flags)
    expect(hazard).toMatchObject({ code: 'disk_offers_hidden', severity: 'stops', where: 'the master' })
    expect(hazard?.advice).toContain("--min_allocatable_resources='cpus:0.01|mem:32|disk:1'")
  })

  test.each([
    ['cpus:0.01;disk:1', ['disk_offers_hidden stops']],
    ['cpus:1|disk:100', ['disk_offers_hidden note']],
    ['disk:0.5', []],
  ])('min_allocatable_resources %s', (value, expected) => {
    expect(codes(master({ ...soundMaster, min_allocatable_resources: value }))).toEqual(expected)
  })

  test('open doors are found', () => {
    const { min_allocatable_resources } = soundMaster
    expect(codes(master({ min_allocatable_resources }))).toEqual(['operator_api_open danger', 'roles_open danger'])
    expect(codes(master({ ...soundMaster, authenticate_frameworks: 'false' }))).toEqual(['roles_open danger'])
  })

  test('ACLs that forbid CREATE_DISK to everybody are found', () => {
    expect(codes(master({ ...soundMaster, acls: 'permissive: false' }))).toEqual(['create_disk_forbidden stops'])
    const allowing = '{"permissive":false,"create_mount_disks":[]}'
    expect(codes(master({ ...soundMaster, acls: allowing }))).toEqual([])
    expect(codes(master({ ...soundMaster, acls: 'permissive: true' }))).toEqual([])
    expect(codes(master({ ...soundMaster, acls: '}' }))).toEqual(['acls_unreadable danger'])
  })

  test('a framework under the principal of the storage is found', () => {
    const frameworks = ['hf', 'else'].map((principal) => ({ framework_info: { name: `of ${principal}`, principal } }))
    const hazards = master(soundMaster, { frameworks })
    expect(codes(hazards)).toEqual(['principal_shared danger'])
    expect(hazards[0]?.sentence).toContain('"of hf"')
    expect(hazards[0]?.sentence).not.toContain('of else')
  })

  test.each([
    ['1.4.3', ['mesos_too_old stops']],
    ['0.28.0', ['mesos_too_old stops']],
    ['1.7.0', ['mesos_untried note']],
    ['2.0.0', []],
    ['1.12.0-dev', []],
    ['one', ['mesos_untried note']],
    [undefined, ['mesos_untried note']],
  ])('version %s', (version, expected) => {
    expect(codes(master(soundMaster, { version }))).toEqual(expected)
  })
})

const agent = (flags: Record<string, string>, more: object = {}) =>
  agentHazards({
    hostname: 'a1',
    version: '1.11.0',
    flags: new Map(Object.entries({ ip: '127.0.0.1', ...flags })),
    capabilities: ['MULTI_ROLE', 'RESOURCE_PROVIDER'],
    ...more,
  })

describe('at an agent', () => {
  test('nothing is found where all is well', () => {
    expect(agent({})).toEqual([])
  })

  test('a missing capability is found', () => {
    const [hazard] = agent({}, { capabilities: ['MULTI_ROLE'] })
    expect(hazard).toMatchObject({ code: 'no_resource_provider', severity: 'stops', where: 'agent a1' })
  })

  test.each([
    ['0.0.0.0', 'every address, port 5051'],
    ['10.0.0.7', '10.0.0.7, port 5051'],
  ])('a provider endpoint on %s is open to whoever reaches it', (ip, says) => {
    const [hazard] = agent({ ip })
    expect(hazard?.code).toBe('provider_endpoint_open')
    expect(hazard?.sentence).toContain(says)
  })

  test('firewall rules that shut the provider out are found, in both forms', () => {
    const path = '/slave(1)/api/v1/resource_provider'
    const rules = JSON.stringify({ disabled_endpoints: { paths: ['/files/browse', path] } })
    expect(codes(agent({ firewall_rules: rules }))).toEqual(['provider_endpoint_disabled stops'])
    const text = `disabled_endpoints {\n  paths: "${path}"\n}\n`
    expect(codes(agent({ firewall_rules: text }))).toEqual(['provider_endpoint_disabled stops'])
    expect(agent({ firewall_rules: '{"disabled_endpoints":{"paths":["/files/browse"]}}' })).toEqual([])
  })

  test.each([
    [{ acls: 'permissive: false' }],
    [{ acls: '{"permissive": false}' }],
    [{ acls: '{"view_tasks":[]}' }],
    [{ authorizer: 'x' }],
  ])('an agent that may hide tasks is found: %j', (flags) => {
    expect(codes(agent(flags))).toEqual(['state_may_be_hidden danger'])
  })

  test('ACLs about other things hide nothing', () => {
    expect(agent({ acls: '{"run_tasks":[]}' })).toEqual([])
  })

  test('the peculiarities of 1.12 are found there, and not before', () => {
    const more = { version: '1.12.0', mounts: [{ target: '/sys/fs/cgroup/unified', type: 'cgroup2' }] }
    expect(codes(agent({ isolation: 'filesystem/linux' }, more))).toEqual([
      'launcher_without_cgroups stops',
      'unified_cgroup stops',
    ])
    expect(agent({ isolation: 'filesystem/linux' }, { ...more, version: '1.11.0' })).toEqual([])
    expect(codes(agent({ launcher: 'posix' }, more))).toEqual(['unified_cgroup stops'])
    const single = { version: '1.12.0', mounts: [{ target: '/sys/fs/cgroup', type: 'cgroup2' }] }
    expect(agent({ isolation: 'cgroups/cpu' }, single)).toEqual([])
  })
})
