import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import type { Attachment } from '../../model/attachment.ts'
import { Guard } from '../../model/mesos.ts'
import { Deficit } from '../../model/records.ts'
import type { Controller } from '../controller.ts'
import { ref } from './components.ts'
import type { JsonSchema } from './describe-schema.ts'
import { formatTime, shownSchema, withTimes } from './rest-schema.ts'
import { NO_GUARD } from './show-mesos.ts'
import { showNode } from './show-nodes.ts'
import { showOperation } from './show-operations.ts'
import { PoolUsage, poolUsage } from './show-pools.ts'

const MAX_NODES = 100
const MAX_OPERATIONS = 50
const MAX_STUCK = 100
/** How far back "recently" goes. */
const RECENT_MS = 60 * 60 * 1000

const Stuck = Type.Object({
  kind: Type.String(),
  id: Type.String(),
  name: Type.Optional(Type.String()),
  state: Type.String(),
  node: Type.Optional(Type.String()),
  sinceSeconds: Type.Optional(Type.Integer()),
  reason: Type.String(),
})
type Stuck = {
  kind: string
  id: string
  name?: string
  state: string
  node?: string
  sinceSeconds?: number
  reason: string
}

const fields = shownSchema(
  Type.Object({
    installation: Type.String(),
    revision: Type.Integer(),
    version: Type.String(),
    time: Type.String({ format: 'date-time' }),
    leading: Type.Boolean(),
    clock: Type.Object({
      suspended: Type.Optional(Type.Object({ from: Type.String(), to: Type.String() })),
    }),
    pools: Type.Array(Type.Object({ id: Type.String(), name: Type.String(), usage: PoolUsage })),
    nodes: Type.Object({
      up: Type.Integer(),
      lost: Type.Integer(),
      joined: Type.Integer(),
      items: Type.Array(Type.Unknown()),
    }),
    operations: Type.Object({
      pending: Type.Integer(),
      running: Type.Integer(),
      overdue: Type.Integer(),
      failedRecently: Type.Integer(),
      items: Type.Array(Type.Unknown()),
    }),
    stuck: Type.Array(Stuck),
    deficits: Type.Array(Deficit),
    /** Only while something is shown to Mesos whose masters' ACLs are not verified. */
    mesosGuard: Type.Optional(Type.Object({ state: Guard.properties.state, why: Guard.properties.why })),
  }),
)

export const ShownStatus: JsonSchema = {
  ...fields,
  properties: {
    ...fields.properties,
    nodes: withItems(fields.properties?.nodes, ref('Node')),
    operations: withItems(fields.properties?.operations, ref('Operation')),
  },
}

function withItems(schema: JsonSchema | undefined, items: JsonSchema): JsonSchema {
  return { ...schema, properties: { ...schema?.properties, items: { type: 'array', items } } }
}

/** One screen: what an operator wants to know first. */
export function showStatus(state: LedgerState, controller: Controller, version: string): unknown {
  const now = controller.engine.now()
  const suspended = state.get('clock', 'clock')
  return {
    installation: state.installation,
    revision: state.revision,
    version,
    time: formatTime(now),
    leading: controller.engine.leading,
    clock:
      suspended === undefined ? {} : { suspended: { from: formatTime(suspended.from), to: formatTime(suspended.to) } },
    pools: [...state.all('pool').values()].map((pool) => ({
      id: pool.id,
      name: pool.name,
      usage: poolUsage(state, pool),
    })),
    nodes: nodesOf(state, controller),
    operations: operationsOf(state, controller, now),
    stuck: stuckOf(state, now),
    deficits: withTimes([...state.all('deficit').values()]),
    ...openGuard(state),
  }
}

function openGuard(state: LedgerState): { mesosGuard?: Pick<Guard, 'state' | 'why'> } {
  const isShown = [...state.all('pool').values()].some(({ mesos }) => mesos !== undefined)
  const { state: verdict, why } = state.get('guard', 'mesos') ?? NO_GUARD
  return isShown && verdict !== 'verified' ? { mesosGuard: { state: verdict, why } } : {}
}

function nodesOf(state: LedgerState, { sessions }: Controller): unknown {
  const counts = { up: 0, lost: 0, joined: 0 }
  for (const node of state.all('node').values()) counts[node.state] += 1
  const urgency = { lost: 0, joined: 1, up: 2 }
  const items = [...state.all('node').values()]
    .sort((a, b) => urgency[a.state] - urgency[b.state] || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_NODES)
    .map((node) => showNode(state, sessions, node))
  return { ...counts, items }
}

function operationsOf(state: LedgerState, { progress }: Controller, now: number): unknown {
  const counts = { pending: 0, running: 0, overdue: 0, failedRecently: 0 }
  const items: unknown[] = []
  for (const id of state.openOperations) {
    const operation = state.get('operation', id)
    if (operation === undefined) continue
    if (operation.state === 'pending') counts.pending += 1
    else counts.running += 1
    if (operation.overdue) counts.overdue += 1
    if (items.length < MAX_OPERATIONS) items.push(showOperation(state, progress, operation, now))
  }
  for (const operation of state.all('operation').values()) {
    if (operation.state === 'failed' && (operation.finishedAt ?? 0) > now - RECENT_MS) counts.failedRecently += 1
  }
  return { ...counts, items }
}

/** What does not go on by itself, or not as fast as it should. */
function stuckOf(state: LedgerState, now: number): Stuck[] {
  const stuck: Stuck[] = []
  const add = (each: Stuck) => {
    if (stuck.length < MAX_STUCK) stuck.push(each)
  }
  for (const attachment of state.all('attachment').values()) {
    const reason = whyStuck(state, attachment)
    if (reason === undefined) continue
    const node = state.get('node', attachment.nodeId)?.name ?? attachment.nodeId
    const name = state.get('volume', attachment.volumeId)?.name ?? attachment.volumeId
    const { id, state: at, since } = attachment
    add({ kind: 'attachment', id, name, state: at, node, sinceSeconds: seconds(now - since), reason })
  }
  for (const id of state.openOperations) {
    const operation = state.get('operation', id)
    if (operation === undefined || (!operation.overdue && operation.failures < 3)) continue
    const node =
      operation.nodeId === undefined ? {} : { node: state.get('node', operation.nodeId)?.name ?? operation.nodeId }
    const reason = operation.fault?.message ?? `${operation.step} takes longer than it should`
    add({
      kind: 'operation',
      id,
      state: operation.state,
      ...node,
      sinceSeconds: seconds(now - operation.createdAt),
      reason,
    })
  }
  addFaulty(state, add)
  return stuck
}

function addFaulty(state: LedgerState, add: (each: Stuck) => void): void {
  for (const { id, name, state: at, fault } of state.all('volume').values()) {
    if (at === 'error' || at === 'missing') add({ kind: 'volume', id, name, state: at, reason: fault?.message ?? at })
  }
  for (const { id, name, state: at, fault } of state.all('snapshot').values()) {
    if (at === 'error') add({ kind: 'snapshot', id, name, state: at, reason: fault?.message ?? at })
  }
}

function whyStuck(state: LedgerState, attachment: Attachment): string | undefined {
  if (attachment.state === 'stuck') return attachment.reason ?? 'the node cannot let go of it'
  if (attachment.state === 'fencing') return 'the lost node is being fenced'
  const node = state.get('node', attachment.nodeId)
  return node?.state === 'lost' ? `node ${node.name} is lost; nobody may write until it is proven gone` : undefined
}

function seconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000))
}
