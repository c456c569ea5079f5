/** Snapshots and clones by what a CSI plugin has for them. */
import type { ObjectHandle, VolumeHandle } from '../csi/object-handle.ts'
import type { ContentSource, CsiPlugin } from '../csi/plugin.ts'
import { HoldfastError } from '../model/errors.ts'
import { type CsiObjects, sourceName } from './csi-objects.ts'
import type { PoolTarget } from './driver.ts'

/** For taking back what was only needed in between. */
const CLEAN_UP_MS = 60_000
const FIRST_PAUSE_MS = 100
const LAST_PAUSE_MS = 5000

export interface CopyParts {
  readonly pool: PoolTarget
  readonly plugin: CsiPlugin
  readonly objects: CsiObjects
}

/** @throws unsupported for what the plugin does not have; object_exists */
export async function copyObject(
  parts: CopyParts,
  from: ObjectHandle,
  object: string,
  kind: 'volume' | 'snapshot',
  signal: AbortSignal,
): Promise<ObjectHandle> {
  const { objects, plugin } = parts
  if (kind === 'snapshot') {
    if (from.kind === 'volume') return await objects.makeSnapshot(parts, object, from, signal)
    throw new HoldfastError('unsupported', `${object} cannot be made: CSI has no snapshots of snapshots`)
  }
  const make = (source: ContentSource) => objects.makeVolume(parts, object, { sizeMiB: from.sizeMiB, source }, signal)
  if (from.kind === 'snapshot') {
    await whenReady(object, async () => (await plugin.snapshot(from, signal))?.ready ?? true, signal)
    return await make({ kind: 'snapshot', id: from.id })
  }
  if ((await plugin.facts(signal)).controller.has('CLONE_VOLUME')) return await make({ kind: 'volume', id: from.id })
  return await throughSnapshot(parts, from, object, make, signal)
}

/** The snapshot is on record like any other object, so that it goes with the copy if this is cut off in the middle. */
async function throughSnapshot(
  parts: CopyParts,
  from: VolumeHandle,
  object: string,
  make: (source: ContentSource) => Promise<VolumeHandle>,
  signal: AbortSignal,
): Promise<VolumeHandle> {
  const { objects, plugin } = parts
  const name = sourceName(object)
  const { id } = await objects.makeSnapshot(parts, name, from, signal)
  try {
    // the repeated request tells, also where snapshots cannot be listed
    await whenReady(object, async () => (await plugin.createSnapshot(name, from, signal)).ready, signal)
    return await make({ kind: 'snapshot', id })
  } finally {
    await objects.remove(parts, name, AbortSignal.timeout(CLEAN_UP_MS))
  }
}

/** A snapshot may be copied from only when the plugin has stored all of it (csi.proto, Snapshot.ready_to_use). */
async function whenReady(object: string, ready: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; !(await ready()); pause = Math.min(2 * pause, LAST_PAUSE_MS)) {
    if (signal.aborted) throw new HoldfastError('cancelled', `The wait for the snapshot of ${object} was cancelled`)
    await new Promise((wake) => setTimeout(wake, pause))
  }
}
