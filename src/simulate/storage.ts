import { HoldfastError } from '../model/errors.ts'
import type { World } from './world.ts'

/** What is on an object. `half`: a mkfs is under way, or was broken off. `other`: anything that is not a filesystem of ours. */
export type Content =
  | { readonly kind: 'blank' }
  | { readonly kind: 'half'; readonly visible: boolean }
  | { readonly kind: 'fs'; readonly type: string; readonly uuid: string; readonly sizeMiB: number }
  | { readonly kind: 'other'; readonly type: string | undefined }

/** The part of a machine's kernel that others look at. */
export interface DeviceHolder {
  readonly name: string
  readonly nodeId: string
  readonly mounts: ReadonlyMap<string, MountState>
}

export interface MountState {
  readonly device: Device
  readonly readOnly: boolean
  readonly frozen: boolean
  readonly shut: boolean
}

/** An object as one kernel has it attached. */
export interface Device {
  readonly name: string
  readonly kernel: DeviceHolder
  readonly object: StoredObject
  readonly readOnly: boolean
  /** Its access was taken away: every access gives an error. */
  fenced: boolean
  /** Its filesystem was stopped for good; nothing reaches the device until it is mounted anew. */
  quiet: boolean
}

export interface StoredObject {
  readonly poolId: string
  readonly name: string
  sizeMiB: number
  content: Content
  /** What users wrote, in the order of writing. */
  readonly written: string[]
  /** How often anything was written to it. */
  writes: number
  /** It was copied while somebody wrote to its source. */
  torn: boolean
  readonly devices: Set<Device>
  /** It was made when its record was about to go, or had gone. */
  late: boolean
}

export interface PoolSettings {
  readonly snapshot: 'reflink' | 'copy'
  readonly fence: 'none' | 'any'
  readonly idempotent: readonly ('create' | 'snapshot' | 'delete')[]
  /** The backend sometimes hands out objects that are not blank. */
  readonly dirty: boolean
}

/** What the watch wants to be told before it happens. */
export interface StorageWatch {
  making(object: StoredObject): void
  deleting(object: StoredObject): void
  attaching(device: Device): void
}

/** The storage systems that all machines share: pools of objects with content. They do what they are asked, at once. */
export class Storage {
  readonly #world: World
  readonly #pools = new Map<string, { objects: Map<string, StoredObject>; settings: PoolSettings; marked: boolean }>()
  watch: StorageWatch | undefined

  constructor(world: World) {
    this.#world = world
  }

  addPool(poolId: string, settings: PoolSettings): void {
    this.#pools.set(poolId, { objects: new Map(), settings, marked: false })
  }

  settings(poolId: string): PoolSettings {
    return this.#pool(poolId).settings
  }

  isMarked(poolId: string): boolean {
    return this.#pools.get(poolId)?.marked === true
  }

  mark(poolId: string): void {
    this.#pool(poolId).marked = true
  }

  #pool(poolId: string) {
    const pool = this.#pools.get(poolId)
    if (pool === undefined) throw new HoldfastError('no_marker', `there is no storage behind ${poolId}`)
    return pool
  }

  find(poolId: string, name: string): StoredObject | undefined {
    return this.#pool(poolId).objects.get(name)
  }

  /** @throws object_missing */
  need(poolId: string, name: string): StoredObject {
    const object = this.find(poolId, name)
    if (object === undefined) throw new HoldfastError('object_missing', `there is no object ${name}`)
    return object
  }

  objects(poolId: string): StoredObject[] {
    return [...this.#pool(poolId).objects.values()]
  }

  get poolIds(): string[] {
    return [...this.#pools.keys()]
  }

  /** Puts an object there that Holdfast has not made. */
  addForeign(poolId: string, name: string, sizeMiB: number, content: Content): StoredObject {
    return this.#add(poolId, name, sizeMiB, content)
  }

  #add(poolId: string, name: string, sizeMiB: number, content: Content): StoredObject {
    const object: StoredObject = {
      poolId,
      name,
      sizeMiB,
      content,
      written: [],
      writes: 0,
      torn: false,
      devices: new Set(),
      late: false,
    }
    this.#pool(poolId).objects.set(name, object)
    return object
  }

  create(poolId: string, name: string, sizeMiB: number): StoredObject {
    const existing = this.find(poolId, name)
    if (existing !== undefined) {
      if (existing.sizeMiB === sizeMiB && existing.content.kind === 'blank') return existing
      throw new HoldfastError('object_exists', `${name} is there already, with ${existing.sizeMiB} MiB`)
    }
    const stale = this.settings(poolId).dirty && this.#world.random.chance(0.05)
    const object = this.#add(poolId, name, sizeMiB, stale ? this.#stale(sizeMiB) : { kind: 'blank' })
    this.watch?.making(object)
    this.#world.trace('storage', `made ${name} ${sizeMiB} MiB${stale ? ', not blank' : ''}`)
    return object
  }

  /** What an earlier tenant of the storage left. */
  #stale(sizeMiB: number): Content {
    if (this.#world.random.chance(0.5)) return { kind: 'other', type: undefined }
    return { kind: 'fs', type: 'ext4', uuid: this.#world.newUuid(), sizeMiB }
  }

  delete(poolId: string, name: string): void {
    const object = this.find(poolId, name)
    if (object === undefined) return
    this.watch?.deleting(object)
    this.#pool(poolId).objects.delete(name)
    this.#world.trace('storage', `deleted ${name}`)
  }

  /** @param since how often the source had been written to when the copy began */
  copy(poolId: string, from: string, name: string, since: number): StoredObject {
    const source = this.need(poolId, from)
    if (this.find(poolId, name) !== undefined) throw new HoldfastError('object_exists', `${name} is there already`)
    const copy = this.#add(poolId, name, source.sizeMiB, source.content)
    copy.written.push(...source.written)
    copy.torn = source.torn || source.writes !== since || isMoving(source)
    this.watch?.making(copy)
    this.#world.trace('storage', `copied ${from} to ${name}${copy.torn ? ', torn' : ''}`)
    return copy
  }

  grow(poolId: string, name: string, sizeMiB: number): StoredObject {
    const object = this.need(poolId, name)
    object.sizeMiB = Math.max(object.sizeMiB, sizeMiB)
    return object
  }

  /** Attaches for a kernel. Nothing here refuses a second machine: that is what the ledger is for. */
  attach(device: Device): void {
    device.object.devices.add(device)
    this.#world.trace(
      'storage',
      `${device.kernel.name} attached ${device.object.name} ${device.readOnly ? 'ro' : 'rw'}`,
    )
    this.watch?.attaching(device)
  }

  detach(device: Device): void {
    device.object.devices.delete(device)
    this.#world.trace('storage', `${device.kernel.name} detached ${device.object.name}`)
  }
}

/** Whether a filesystem on it is mounted somewhere and goes on being written to. */
function isMoving(object: StoredObject): boolean {
  for (const device of object.devices) {
    for (const mount of device.kernel.mounts.values()) {
      if (mount.device === device && !mount.readOnly && !mount.frozen && !mount.shut) return true
    }
  }
  return false
}
