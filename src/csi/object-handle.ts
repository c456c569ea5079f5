/** What the ledger keeps of an object on a CSI plugin: first the plugin's id, then what is needed to use it. */
import { HoldfastError } from '../model/errors.ts'

/** The ledger keeps so much (driver.ts, ObjectInfo.handle). */
const MAX_BYTES = 8 * 1024

export interface VolumeHandle {
  readonly kind: 'volume'
  readonly id: string
  readonly sizeMiB: number
  /** The plugin's volume_context: every call on a node wants it back. */
  readonly context: Readonly<Record<string, string>>
}

export interface SnapshotHandle {
  readonly kind: 'snapshot'
  readonly id: string
  readonly sizeMiB: number
  /** Id of the volume that it was made of. */
  readonly source: string
}

/** Of the volume that marks a pool. */
export interface MarkerHandle {
  readonly kind: 'pool'
  readonly id: string
  readonly uuid: string
  readonly installation: string
}

export type ObjectHandle = VolumeHandle | SnapshotHandle
type Handle = ObjectHandle | MarkerHandle

/** @throws storage_failed for an id or a context that is longer than the specification allows */
export function formatHandle({ id, ...rest }: Handle): string {
  const text = `${id}\n${JSON.stringify(rest)}`
  if (!id.includes('\n') && Buffer.byteLength(text) <= MAX_BYTES) return text
  throw new HoldfastError('storage_failed', `the plugin's id of a ${rest.kind}, or its context, is too long to be kept`)
}

/** Undefined for a text that is none. */
export function parseHandle(text: string | undefined): Handle | undefined {
  const at = text?.indexOf('\n') ?? -1
  if (text === undefined || at < 1) return undefined
  try {
    return { ...(JSON.parse(text.slice(at + 1)) as Handle), id: text.slice(0, at) }
  } catch {
    return undefined
  }
}

export function objectHandle(text: string | undefined): ObjectHandle | undefined {
  const handle = parseHandle(text)
  return handle === undefined || handle.kind === 'pool' ? undefined : handle
}
