import type { NodeDaemon } from '../../node/daemon.ts'
import type { RestClient } from '../../node/http-link.ts'
import { DOOR_HEADER, poolSegment, REACHED } from './words.ts'

/** What the specification lets a node have, so that all of it can be told: more pools than an orchestrator could use. */
const MOST_POOLS = 64

export interface NodeInfoParts {
  readonly node: Pick<NodeDaemon, 'reach'>
  readonly rest: RestClient
  /** Name of this node: what ControllerPublishVolume is told, and people are shown. */
  readonly name: string
}

interface ShownNode {
  readonly attachmentLimit: number
  readonly reach: readonly string[]
}

/** NodeGetInfo. @throws unreachable while the controller is away: it has the limit, and volumes can't be had either */
export async function nodeInfo({ node, rest, name }: NodeInfoParts) {
  const path = `/v1/nodes/${encodeURIComponent(name)}`
  const shown = await rest.rest<ShownNode>('GET', path, undefined, DOOR_HEADER)
  // a pool that is just now not reached is still the node's: segments must not come and go
  const pools = [...new Set([...shown.reach, ...node.reach.reached])].sort().slice(0, MOST_POOLS)
  const segments = Object.fromEntries(pools.map((pool) => [poolSegment(pool), REACHED]))
  return {
    nodeId: name,
    // 0 would mean that there is no limit
    maxVolumesPerNode: BigInt(Math.max(1, shown.attachmentLimit)),
    // no segment of the node's own: with one, an orchestrator would count a shared pool once for every node
    ...(pools.length === 0 ? {} : { accessibleTopology: { segments } }),
  }
}
