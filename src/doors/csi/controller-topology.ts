import type { Topology, TopologyRequirement } from '../../csi/generated/csi/v1/csi_pb.js'
import { quote } from '../../model/units.ts'
import { badField, checkMap } from './fields.ts'
import { NODE_SEGMENT, poolOfSegment, poolSegment, REACHED } from './words.ts'

/** Where a volume may be: sets of pool ids. */
export interface Places {
  /** To be tried first, in this order. */
  readonly preferred: readonly ReadonlySet<string>[]
  /** One of these in the end; undefined: anywhere. */
  readonly allowed: ReadonlySet<string> | undefined
}

/** Finds what a node reaches: ids of pools; undefined for a node that is not there. */
export type ReachOf = (node: string) => Promise<readonly string[] | undefined>

/**
 * A topology of ours is a node, with every pool that it reaches; so a volume is accessible from it in any of them.
 * @throws INVALID_ARGUMENT for segments that are none of ours
 */
export async function placesOf(requirement: TopologyRequirement | undefined, reachOf: ReachOf): Promise<Places> {
  const field = 'accessibility_requirements'
  const { requisite = [], preferred = [] } = requirement ?? {}
  if (requirement !== undefined && requisite.length + preferred.length === 0) {
    throw badField(field, 'neither requisite nor preferred')
  }
  const wished = await Promise.all(preferred.map((each) => poolsOf(each, `${field}.preferred`, reachOf)))
  const needed = await Promise.all(requisite.map((each) => poolsOf(each, `${field}.requisite`, reachOf)))
  // preferred alone binds nobody: the rest of the world comes after it
  const allowed = requisite.length === 0 ? undefined : new Set(needed.flatMap((each) => [...each]))
  return { preferred: distinct(wished, allowed), allowed }
}

/** The pools that a topology means. @throws INVALID_ARGUMENT */
export async function poolsOf({ segments }: Topology, field: string, reachOf: ReachOf): Promise<Set<string>> {
  checkMap(field, segments)
  const pools = new Set<string>()
  let named = false
  for (const [key, value] of Object.entries(segments)) {
    const pool = poolOfSegment(key)
    if (pool === undefined && key !== NODE_SEGMENT) throw badField(field, `there is no segment ${quote(key)}`)
    if (pool === undefined) continue
    named = true
    if (value === REACHED) pools.add(pool)
  }
  if (named) return pools
  const node = segments[NODE_SEGMENT]
  if (node === undefined) throw badField(field, 'a topology without segments')
  return new Set((await reachOf(node)) ?? [])
}

/** Each set once, and without what is not allowed: there may be a topology for every node. */
function distinct(sets: readonly Set<string>[], allowed: ReadonlySet<string> | undefined): Set<string>[] {
  const seen = new Map<string, Set<string>>()
  for (const each of sets) {
    const left = new Set([...each].filter((pool) => allowed?.has(pool) !== false))
    const key = [...left].sort().join()
    if (left.size > 0 && !seen.has(key)) seen.set(key, left)
  }
  return [...seen.values()]
}

/** Where a volume can be used: by every node that reaches its pool. */
export function topologyOf(poolId: string): { segments: Record<string, string> } {
  return { segments: { [poolSegment(poolId)]: REACHED } }
}
