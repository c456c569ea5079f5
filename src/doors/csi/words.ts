/**
 * Names that orchestrators keep: they must never change.
 */

/** What orchestrators call the plugin: a domain name of at most 63 characters (csi.proto, GetPluginInfoResponse). */
export const PLUGIN_NAME = 'csi.holdfast.io'

/** Topology: nodes have one segment per pool that they reach, and one with their name. */
const TOPOLOGY_PREFIX = 'topology.holdfast.io'
export const NODE_SEGMENT = `${TOPOLOGY_PREFIX}/node`
/** The value of a pool's segment: that the node reaches it. */
export const REACHED = 'true'

/** The key of a pool's segment; pool ids are as topology keys must be. */
export function poolSegment(poolId: string): string {
  return `${TOPOLOGY_PREFIX}/pool-${poolId}`
}

/** The id of the pool that a segment is about; undefined: it is about none. */
export function poolOfSegment(key: string): string | undefined {
  const prefix = poolSegment('')
  return key.startsWith(prefix) ? key.slice(prefix.length) : undefined
}

/** In a publish context: `true` when ControllerPublishVolume claimed the volume for reading only. */
export const READ_ONLY_CONTEXT = 'holdfast.io/readonly'

/** The longest text that a request may have where nothing else is said, in bytes (CSI spec, "Size Limits"). */
export const MAX_TEXT_BYTES = 128
/** All keys and values of a map together, bytes (the same place). */
export const MAX_MAP_BYTES = 4096

/** Said at the REST interface: for the history, and because a volume's fingerprint is a door's to give. */
export const DOOR_HEADER = { 'holdfast-door': 'csi' }
