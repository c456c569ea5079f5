import { nodeAttachments } from '../ledger/accounts.ts'
import { freeOf } from '../ledger/limits.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { Candidate } from '../model/candidate.ts'
import type { Node } from '../model/node.ts'
import type { Operation } from '../model/operation.ts'
import type { Pool } from '../model/pool.ts'
import { formatCount } from '../model/units.ts'
import { candidate, type Judgement } from './candidate.ts'

/** Running operations that a node takes at once. */
export const OPERATIONS_PER_NODE = 4

/**
 * The node that an operation's next step is to run on now, or undefined while there is none. Where content is in use
 * it must be the node that uses it; else the one it ran on last, else the least busy one that reaches the pool.
 */
export function pickNode(state: LedgerState, operation: Operation): Node | undefined {
  const bound = boundTo(state, operation)
  if (bound === 'nobody') return undefined
  if (bound !== undefined) return eligible(state, operation, bound)
  const last = operation.nodeId === undefined ? undefined : eligible(state, operation, operation.nodeId)
  if (last !== undefined) return last
  if (operation.unknownOutcome && operation.nodeId !== undefined && state.get('node', operation.nodeId) !== undefined) {
    return undefined
  }
  let best: { node: Node; load: number } | undefined
  for (const nodeId of state.nodesByPool.get(operation.poolId)) {
    const node = eligible(state, operation, nodeId)
    if (node === undefined) continue
    const load = state.operationsByNode.get(nodeId).size
    if (best === undefined || load < best.load || (load === best.load && node.name < best.node.name)) {
      best = { node, load }
    }
  }
  return best?.node
}

/** The node where an operation's content is attached; `nobody` when that node cannot be asked. */
function boundTo(state: LedgerState, operation: Operation): string | 'nobody' | undefined {
  let bound = operation.pinnedTo
  const sourceVolume = operation.source?.kind === 'volume' ? operation.source.id : undefined
  const volumes = [operation.subject.kind === 'volume' ? operation.subject.id : undefined, sourceVolume]
  for (const volumeId of volumes) {
    if (volumeId === undefined) continue
    for (const id of state.attachmentsByVolume.get(volumeId)) {
      const attachment = state.get('attachment', id)
      if (attachment === undefined) continue
      const settled = attachment.state !== 'fencing' && attachment.state !== 'stuck'
      if (!settled || (bound !== undefined && bound !== attachment.nodeId)) return 'nobody'
      bound = attachment.nodeId
    }
  }
  return bound
}

function eligible(state: LedgerState, operation: Operation, nodeId: string): Node | undefined {
  const node = state.get('node', nodeId)
  if (node === undefined || node.state !== 'up') return undefined
  if (operation.step !== 'mark' && !node.reach.includes(operation.poolId)) return undefined
  if (operation.step === 'fence' && !canFence(state, operation, node)) return undefined
  const pinned = operation.pinnedTo === node.id
  if (node.cordoned && !pinned) return undefined
  // those that wait for each other have to run together
  const together = operation.detail.together !== undefined
  if (!together && state.operationsByNode.get(node.id).size >= OPERATIONS_PER_NODE) return undefined
  if (freeOf(state, nodeAttachments(node.id)) < newAttachments(state, operation, node.id)) return undefined
  return node
}

const USES_SUBJECT: ReadonlySet<Operation['step']> = new Set(['format', 'copy', 'grow', 'import'])

/** How many attachments the next step adds on a node: what it uses and is not there yet. */
function newAttachments(state: LedgerState, operation: Operation, nodeId: string): number {
  const { step, subject, source } = operation
  const used = USES_SUBJECT.has(step) ? [subject.id] : []
  if (source?.kind === 'volume') used.push(source.id)
  const isThere = (id: string) => state.get('attachment', id)?.nodeId === nodeId
  return used.filter((volumeId) => ![...state.attachmentsByVolume.get(volumeId)].some(isThere)).length
}

/** Whether a fence can be made from this node: some drivers can prove it only from the same machine. */
function canFence(state: LedgerState, operation: Operation, node: Node): boolean {
  const reachOfProof = state.get('pool', operation.poolId)?.capabilities?.fence ?? 'none'
  if (operation.detail.nodeId === node.id || reachOfProof === 'none') return false
  return reachOfProof === 'any' || operation.detail.bootId === node.bootId
}

/** What a new attachment would need of a node. */
export interface NodeWish {
  readonly pool: Pool | undefined
  readonly bandwidth: number
  readonly node: string | undefined
}

/** Every node with its comparisons, best first among those that fit: most room left, then by name. */
export function rankNodes(state: LedgerState, wish: NodeWish): { candidates: Candidate[]; ranked: Node[] } {
  const fitting: { node: Node; room: number }[] = []
  const nodes = [...state.all('node').values()]
    .filter((node) => matches(node, wish.node))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const candidates = nodes.map((node) => {
    const judged = candidate('node', node, checkNode(state, node, wish))
    if (judged.fits) fitting.push({ node, room: freeOf(state, nodeAttachments(node.id)) })
    return judged
  })
  fitting.sort((a, b) => b.room - a.room || (a.node.name < b.node.name ? -1 : 1))
  return { candidates, ranked: fitting.map((each) => each.node) }
}

function matches(node: Node, wanted: string | undefined): boolean {
  return wanted === undefined || node.id === wanted || node.name === wanted
}

function checkNode(state: LedgerState, node: Node, wish: NodeWish): Judgement[] {
  const slots = freeOf(state, nodeAttachments(node.id))
  const free = freeOf(state, `node/${node.id}/bandwidth`)
  const reaches = wish.pool === undefined || node.reach.includes(wish.pool.id)
  return [
    {
      what: 'state',
      ok: node.state === 'up',
      text: () => `is ${node.state}`,
      change: () => `bring node ${node.name} back`,
    },
    {
      what: 'cordon',
      ok: !node.cordoned,
      text: () => (node.cordoned ? 'is cordoned' : 'takes new attachments'),
      change: () => `uncordon node ${node.name}`,
    },
    {
      what: 'reach',
      ok: reaches,
      text: () => (reaches ? 'reaches the pool' : `does not reach pool ${wish.pool?.name}`),
      change: () => `connect node ${node.name} to the pool`,
    },
    {
      what: 'attachments',
      ok: slots >= 1,
      asked: 1,
      free: slots,
      limit: node.attachmentLimit,
      text: () => `${formatCount(slots)} of ${formatCount(node.attachmentLimit)} attachments free`,
      change: () => `detach one volume from node ${node.name}`,
    },
    {
      what: 'bandwidth',
      ok: wish.bandwidth <= free,
      asked: wish.bandwidth,
      ...(node.bandwidth === undefined ? {} : { free, limit: node.bandwidth }),
      text: () =>
        node.bandwidth === undefined
          ? 'bandwidth is not counted'
          : `${formatCount(free)} ${node.bandwidthUnit} free, ${formatCount(wish.bandwidth)} asked`,
      change: () => `ask for ${formatCount(wish.bandwidth - free)} ${node.bandwidthUnit} less`,
    },
  ]
}
