/** /state, /roles and /metrics/snapshot of a master: plain sums by resource name. */
import { type AgentRecord, type MasterState, offersOn, usedOn } from './master-state.ts'
import { rolesOf, VERSION } from './operator-views.ts'
import { consumed, toNumbers } from './quota.ts'
import { providerOf, quantities, reservedTo } from './resources.ts'
import type { Resource } from './types.ts'

function sums(resources: readonly Resource[]): Record<string, number> {
  const { cpus = 0, mem = 0, disk = 0, ...rest } = toNumbers(quantities(resources))
  return { ...rest, disk, mem, gpus: 0, cpus }
}

function agentState(master: MasterState, agent: AgentRecord): object {
  const roles = [...new Set(agent.total.map(reservedTo))].filter((role) => role !== undefined)
  const reserved = roles.map((role) => [role, sums(agent.total.filter((resource) => reservedTo(resource) === role))])
  const ports = agent.total
    .filter(({ type }) => type === 'RANGES')
    .map(({ name, ranges }) => [name, printRanges(ranges?.range)])
  return {
    id: agent.id,
    hostname: agent.hostname,
    port: agent.httpPort,
    pid: `slave(1)@127.0.0.1:${agent.httpPort}`,
    active: agent.connected,
    version: VERSION,
    registered_time: agent.registeredAt / 1000,
    attributes: Object.fromEntries(
      agent.attributes.map(({ name, text, scalar }) => [name, text?.value ?? scalar?.value]),
    ),
    resources: { ...sums(agent.total), ...Object.fromEntries(ports) },
    used_resources: sums(usedOn(agent)),
    offered_resources: sums(offersOn(master, agent.id).flatMap(({ resources }) => resources)),
    reserved_resources: Object.fromEntries(reserved),
  }
}

function printRanges(ranges: readonly { begin: number; end: number }[] | undefined): string {
  return `[${(ranges ?? []).map(({ begin, end }) => `${begin}-${end}`).join(', ')}]`
}

export function stateEndpoint(master: MasterState): object {
  const frameworks = [...master.frameworks.values()].map(({ id, info, stream }) => ({
    id,
    name: info.name,
    roles: info.roles ?? ['*'],
    active: stream !== undefined,
    connected: stream !== undefined,
    checkpoint: info.checkpoint ?? false,
    principal: info.principal,
  }))
  return {
    id: master.id,
    pid: `master@127.0.0.1:${master.port}`,
    hostname: '127.0.0.1',
    version: VERSION,
    leader: `master@127.0.0.1:${master.port}`,
    activated_slaves: [...master.agents.values()].filter(({ connected }) => connected).length,
    slaves: [...master.agents.values()].map((agent) => agentState(master, agent)),
    frameworks,
  }
}

export function rolesEndpoint(master: MasterState): object {
  const { held, quotas } = master.allocator
  const inUse = [...master.agents.values()].flatMap(usedOn)
  const offered = [...master.offers.values()].flatMap(({ resources }) => resources)
  const of = (resources: readonly Resource[], role: string) =>
    toNumbers(quantities(resources.filter(({ allocation_info }) => allocation_info?.role === role)))
  const roles = rolesOf(master).map((role) => ({
    name: role,
    weight: 1,
    quota: {
      role,
      guarantee: {},
      limit: toNumbers(quotas.get(role) ?? new Map()),
      consumed: toNumbers(consumed(role, held)),
    },
    resources: of([...inUse, ...offered], role),
    allocated: of(inUse, role),
    offered: of(offered, role),
    reserved: toNumbers(quantities(held.totals.flat().filter((resource) => reservedTo(resource) === role))),
    frameworks: [...master.frameworks.values()]
      .filter(({ info }) => (info.roles ?? ['*']).includes(role))
      .map(({ id }) => id),
  }))
  return { roles }
}

const STATES = ['DROPPED', 'ERROR', 'FAILED', 'FINISHED', 'GONE_BY_OPERATOR', 'PENDING', 'RECOVERING', 'UNREACHABLE']

export function metrics(master: MasterState): object {
  const { held } = master.allocator
  const quota: [string, number][] = ['', ...rolesOf(master)].flatMap((role) =>
    [...consumed(role, held)].map(([name, amount]): [string, number] => [
      `allocator/mesos/quota/roles/${role}/resources/${name}/consumed`,
      amount / 1000,
    ]),
  )
  const filters = rolesOf(master).map((role) => [
    `allocator/mesos/offer_filters/roles/${role}/active`,
    master.allocator.filters.active(role),
  ])
  const total = toNumbers(quantities(held.totals.flat())).disk ?? 0
  // what is reserved or of a provider is no part of master/disk_total
  const plain = held.totals
    .flat()
    .filter((resource) => providerOf(resource) === undefined && reservedTo(resource) === undefined)
  const used = toNumbers(quantities([...master.agents.values()].flatMap(usedOn))).disk ?? 0
  const operations = ['create_disk', 'destroy_disk'].flatMap((type) => [
    ...STATES.map((state) => [
      `master/operations/${type}/${state.toLowerCase()}`,
      master.counters.get(`${type}/OPERATION_${state}`) ?? 0,
    ]),
    [`master/operations/${type}/total`, master.counters.get(`${type}/total`) ?? 0],
  ])
  return {
    ...Object.fromEntries([...filters, ...quota, ...operations]),
    'allocator/mesos/resources/disk/offered_or_allocated': toNumbers(quantities(held.allocated)).disk ?? 0,
    'allocator/mesos/resources/disk/total': total,
    'master/disk_total': toNumbers(quantities(plain)).disk ?? 0,
    'master/disk_used': used,
    'master/elected': 1,
  }
}
