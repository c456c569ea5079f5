/**
 * The marker of a pool that lies on a plugin: a volume with a name that no other pool gives. Nothing is ever in it. A
 * plugin carries one pool's: what else is on it would be counted twice.
 */
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { PluginVolume, PluginVolumes } from './volumes.ts'

export interface MarkedPool {
  readonly name: string
  readonly uuid: string
  readonly installation: string
}

const MARKER = /^hf-[0-9a-f]{8}-pool-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function markerName({ installation, uuid }: MarkedPool): string {
  return `hf-${installation.slice(0, 8)}-pool-${uuid}`
}

export function isMarker(name: string): boolean {
  return MARKER.test(name)
}

/** Looks for the marker, before each call that does something. @throws no_marker, marker_conflict */
export async function requireMarker(plugin: PluginVolumes, pool: MarkedPool, signal: AbortSignal): Promise<void> {
  if ((await plugin.get(markerName(pool), signal)) !== undefined) return
  refuseOthers(plugin, pool, (await plugin.list(signal)) ?? [])
  throw noMarker(plugin, pool)
}

/**
 * Looks at all markers.
 * @returns the plugin's volumes; undefined when it cannot list: then markers of others are not seen
 * @throws no_marker, marker_conflict
 */
export async function readMarkers(
  plugin: PluginVolumes,
  pool: MarkedPool,
  signal: AbortSignal,
): Promise<PluginVolume[] | undefined> {
  const volumes = await plugin.list(signal)
  if (volumes === undefined) {
    await requireMarker(plugin, pool, signal)
    return undefined
  }
  refuseOthers(plugin, pool, volumes)
  if (!volumes.some(({ name }) => name === markerName(pool))) throw noMarker(plugin, pool)
  return volumes
}

/** Makes the marker, or finds that it is there already. @throws marker_conflict, and what Create throws */
export async function writeMarker(
  plugin: PluginVolumes,
  pool: MarkedPool,
  options: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const own = markerName(pool)
  refuseOthers(plugin, pool, (await plugin.list(signal)) ?? [])
  if ((await plugin.get(own, signal)) !== undefined) return
  try {
    await plugin.create(own, options, signal)
  } catch (thrown) {
    const unknown = asHoldfastError(thrown).code === 'storage_timeout'
    if (!unknown || (await plugin.get(own, signal)) === undefined) throw thrown
  }
  try {
    refuseOthers(plugin, pool, (await plugin.list(signal)) ?? [])
  } catch (thrown) {
    // two nodes marked it for two pools at once: neither wins, and nothing was put on it yet
    await plugin.remove(own, signal)
    throw thrown
  }
}

function refuseOthers(plugin: PluginVolumes, pool: MarkedPool, volumes: readonly PluginVolume[]): void {
  const other = volumes.find(({ name }) => isMarker(name) && name !== markerName(pool))
  if (other === undefined) return
  const text = `${plugin.label} carries the marker of another pool (the volume ${other.name}), not only that of ${pool.name}`
  throw new HoldfastError('marker_conflict', `${text} (${markerName(pool)}); a plugin holds one pool`, {
    found: other.name,
  })
}

function noMarker(plugin: PluginVolumes, pool: MarkedPool): HoldfastError {
  const text = `${plugin.label} carries no marker of pool ${pool.name} (a volume ${markerName(pool)}): is it the right`
  return new HoldfastError('no_marker', `${text} plugin, with the right storage? A new pool has to be marked first`)
}
