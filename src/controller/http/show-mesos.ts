import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import type { Hazard } from '../../mesos/hazards.ts'
import { Guard, PoolMesos, Provider } from '../../model/mesos.ts'
import type { Controller } from '../controller.ts'
import { guardHazard } from '../mesos/cluster-hazards.ts'
import type { MesosView } from '../mesos/mesos-view.ts'
import { effectiveShrink, poolView } from '../mesos/pool-view.ts'
import { providerHazards } from '../mesos/provider-hazards.ts'
import { shownSchema, withTimes } from './rest-schema.ts'
import { Cluster } from './show-cluster.ts'

const Text = Type.String()
/** What a provider process said, as it said it. */
const Said = Type.Unsafe<object>({ type: 'object', additionalProperties: true })

const { id: _, ...fields } = Provider.properties
const ProviderFields = Type.Object({
  ...fields,
  /** Name of the node. */
  node: Text,
  /** Name of the pool. */
  pool: Text,
  connected: Type.Boolean(),
})
export const ShownProvider = shownSchema(ProviderFields)

type Parts = Pick<Controller, 'providers'>

export function showProvider(state: LedgerState, { providers }: Parts, { id: _id, ...record }: Provider): unknown {
  return withTimes({
    ...record,
    node: state.get('node', record.nodeId)?.name ?? record.nodeId,
    pool: state.get('pool', record.poolId)?.name ?? record.poolId,
    connected: providers.connected.has(record.nodeId),
  })
}

/** Providers shown at once: a page for people, who look at the troubled ones. */
const MAX_SHOWN = 1000

export const ShownMesos = shownSchema(
  Type.Object({
    /** Whose reservations and persistences are Holdfast's own. */
    principal: Text,
    guard: Type.Object({ state: Guard.properties.state, why: Guard.properties.why, at: Type.Optional(Type.Integer()) }),
    masters: Type.Array(
      Type.Object({
        url: Text,
        leading: Type.Boolean(),
        version: Type.Optional(Text),
        trouble: Type.Optional(Text),
      }),
    ),
    hazards: Type.Array(
      Type.Object({
        code: Text,
        severity: Type.Union([Type.Literal('stops'), Type.Literal('danger'), Type.Literal('note')]),
        where: Text,
        sentence: Text,
        advice: Text,
      }),
    ),
    pools: Type.Array(
      Type.Object({
        id: Text,
        name: Text,
        mesos: PoolMesos,
        shrink: PoolMesos.properties.shrink,
        providers: Type.Integer(),
      }),
    ),
    /** The nodes whose provider process has connected or reported. */
    agents: Type.Array(
      Type.Object({
        node: Text,
        connected: Type.Boolean(),
        /** When it last reported. */
        at: Type.Optional(Type.Integer()),
        agent: Type.Optional(Said),
      }),
    ),
    providers: Type.Array(Type.Object({ ...ProviderFields.properties, report: Type.Optional(Said) })),
    providerCount: Type.Integer(),
    /** What the leading master tells; absent when none is followed. */
    cluster: Type.Optional(Cluster),
  }),
)

export function showMesos(state: LedgerState, controller: Controller): object {
  const { why, at, state: verdict } = state.get('guard', 'mesos') ?? NO_GUARD
  const all = [...state.all('provider').values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  return {
    principal: controller.mesosPrincipal,
    guard: withTimes({ state: verdict, why, ...(at === undefined ? {} : { at }) }),
    pools: pools(state, controller, all),
    agents: agents(state, controller),
    providers: all.slice(0, MAX_SHOWN).map((each) => {
      const reported = controller.providerReports.get(each.nodeId)
      const report = reported?.report.providers.find(({ poolId }) => poolId === each.poolId)
      return { ...(showProvider(state, controller, each) as object), ...(report === undefined ? {} : { report }) }
    }),
    providerCount: all.length,
  }
}

/** Something wrong with the guard, the providers, or between them and Mesos; what only the ledger can tell. */
export function ledgerHazards(state: LedgerState, controller: Controller, mesos: MesosView | undefined): Hazard[] {
  const shown = [...state.all('pool').values()].some((pool) => pool.mesos !== undefined)
  if (!shown) return []
  const { providers, providerReports } = controller
  // what was heard before the master was lost says nothing of now
  const agents = mesos?.connected === true ? mesos.cluster()?.agents : undefined
  return [
    ...guardHazard(state.get('guard', 'mesos'), mesos !== undefined),
    ...providerHazards({ state, connected: providers.connected, reports: providerReports, agents }),
  ]
}

export const NO_GUARD: { state: Guard['state']; why: string[]; at?: number } = {
  state: 'unverified',
  why: ['no master has been looked at'],
}

function pools(state: LedgerState, { mesosPrincipal }: Controller, providers: readonly Provider[]) {
  const counts = Map.groupBy(providers, (each) => each.poolId)
  return [...state.all('pool').values()]
    .flatMap((pool) => poolView(state, pool.id, mesosPrincipal) ?? [])
    .map((view) => ({
      id: view.pool.id,
      name: view.pool.name,
      mesos: view.mesos,
      shrink: effectiveShrink(view),
      providers: counts.get(view.pool.id)?.length ?? 0,
    }))
}

function agents(state: LedgerState, { providers, providerReports }: Controller) {
  const shown = [...state.all('node').values()].flatMap((node) => {
    const reported = providerReports.get(node.id)
    const connected = providers.connected.has(node.id)
    if (reported === undefined && !connected) return []
    const said = reported === undefined ? {} : { at: reported.at, agent: reported.report.agent }
    return [{ node: node.name, connected, ...said }]
  })
  return shown.slice(0, MAX_SHOWN).map(withTimes)
}
