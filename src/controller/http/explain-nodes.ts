import { nodeAttachments } from '../../ledger/accounts.ts'
import { freeOf } from '../../ledger/limits.ts'
import type { LedgerState } from '../../ledger/state.ts'
import type { VolumeRequest } from '../../ledger/volume-create.ts'
import type { Candidate } from '../../model/candidate.ts'
import { formatCount } from '../../model/units.ts'
import { candidate, type Judgement } from '../../placement/candidate.ts'
import { rankNodes } from '../../placement/nodes.ts'

/**
 * Every node (or only one) with its comparisons for all of the volumes at once: one task uses them together, so a node
 * must reach all of their pools and have room for all of them. Best first among those that fit.
 */
export function judgeNodes(
  state: LedgerState,
  volumes: readonly VolumeRequest[],
  only: string | undefined,
): Candidate[] {
  const bandwidth = volumes.reduce((sum, volume) => sum + volume.bandwidth, 0)
  const pools = [...new Set(volumes.map((volume) => volume.poolId))].map((id) => state.get('pool', id))
  const first = rankNodes(state, { pool: pools[0], bandwidth, node: only }).candidates
  const room = (each: Candidate) => freeOf(state, nodeAttachments(each.id))
  const order = (a: Candidate, b: Candidate) =>
    Number(b.fits) - Number(a.fits) || room(b) - room(a) || (a.name < b.name ? -1 : 1)
  if (volumes.length <= 1) return first.sort(order)
  const others = pools.slice(1).map((pool) => rankNodes(state, { pool, bandwidth, node: only }).candidates)
  const judged = first.map((each, index) => {
    const reach = others.flatMap((other) => other[index]?.checks.filter((check) => check.what === 'reach') ?? [])
    const kept = [...each.checks.filter((check) => check.what !== 'attachments'), ...reach]
    return candidate('node', each, [
      ...kept.map((check) => ({ ...check, text: () => check.text })),
      slots(state, each.id, volumes.length),
    ])
  })
  return judged.sort(order)
}

export function bestNode(nodes: readonly Candidate[]): Candidate | undefined {
  return nodes.find((node) => node.fits)
}

function slots(state: LedgerState, nodeId: string, volumes: number): Judgement {
  const free = freeOf(state, nodeAttachments(nodeId))
  const asked = volumes
  const limit = state.get('node', nodeId)?.attachmentLimit ?? 0
  return {
    what: 'attachments',
    ok: free >= asked,
    asked,
    free,
    limit,
    text: () => `${formatCount(free)} of ${formatCount(limit)} attachments free, ${formatCount(asked)} asked`,
    change: () => `detach ${formatCount(asked - free)} volumes from this node`,
  }
}
