import { HoldfastError } from '../model/errors.ts'
import type { Device, Storage, StoredObject } from './storage.ts'
import { Realm, type World } from './world.ts'

export interface Mount {
  readonly target: string
  readonly device: Device
  readonly type: string
  readonly readOnly: boolean
  frozen: boolean
  /** Stopped without flushing; only unmounting is left. */
  shut: boolean
}

/** A call that is under way: to the storage system, or a child in the kernel. It may outlive the daemon. */
export interface Call {
  readonly object: string
  readonly what: string
  /** What it asked for will not happen any more. */
  withdrawn: boolean
  /** It holds the device: nothing can detach it meanwhile. */
  readonly holds: boolean
}

/** The kernel of one boot of a machine: its devices, its mounts, and the calls that are under way. */
export class Kernel {
  readonly name: string
  readonly bootId: string
  readonly nodeId: string
  readonly realm: Realm
  readonly devices = new Map<string, Device>()
  readonly mounts = new Map<string, Mount>()
  readonly calls = new Set<Call>()
  /** Objects whose device somebody still holds after unmounting, until when. */
  readonly #held = new Map<StoredObject, number>()
  /** When the last call for an object ends: one after the other. */
  readonly #lanes = new Map<string, number>()
  readonly #storage: Storage
  #devicesMade = 0
  /** Whether somebody uses what is mounted at a target. */
  busy: (target: string) => boolean = () => false

  constructor(world: World, storage: Storage, name: string, nodeId: string) {
    this.name = name
    this.nodeId = nodeId
    this.bootId = world.newUuid()
    this.realm = new Realm(world, name)
    this.#storage = storage
  }

  /** The machine loses power, or is reset: nothing of this boot is left. */
  die(): void {
    this.realm.die()
    for (const device of this.devices.values()) device.object.devices.delete(device)
    for (const call of this.calls) call.withdrawn = true
    this.devices.clear()
    this.mounts.clear()
    this.calls.clear()
  }

  /** When a call for an object that takes `ms` begins and ends, if it waits for those before it. */
  reserve(lane: string, ms: number): { begins: number; ends: number } {
    const begins = Math.max(this.realm.world.time, this.#lanes.get(lane) ?? 0)
    this.#lanes.set(lane, begins + ms)
    return { begins, ends: begins + ms }
  }

  /** A call ended before its time: those that come next need not wait for it, but for those before it. */
  release(lane: string, { begins, ends }: { begins: number; ends: number }): void {
    if (this.#lanes.get(lane) === ends) this.#lanes.set(lane, begins)
  }

  deviceOf(poolId: string, object: string): Device | undefined {
    for (const device of this.devices.values()) {
      if (device.object.name === object && device.object.poolId === poolId) return device
    }
    return undefined
  }

  attach(poolId: string, name: string, readOnly: boolean): Device {
    const object = this.#storage.need(poolId, name)
    const existing = this.deviceOf(poolId, name)
    if (existing !== undefined) {
      if (existing.readOnly === readOnly && existing.object === object && !existing.fenced) return existing
      throw new HoldfastError('in_use', `${name} is attached as ${existing.name} already, otherwise`)
    }
    this.#devicesMade += 1
    const name_ = `/dev/${this.name}-${this.#devicesMade}`
    const device: Device = { name: name_, kernel: this, object, readOnly, fenced: false, quiet: false }
    this.devices.set(device.name, device)
    this.#storage.attach(device)
    return device
  }

  /** @throws still_mounted while anything holds it */
  detach(poolId: string, name: string): void {
    const device = this.deviceOf(poolId, name)
    if (device === undefined) return
    const held = this.#held.get(device.object) ?? 0
    const mounted = [...this.mounts.values()].some((mount) => mount.device === device)
    const child = [...this.calls].find((call) => call.holds && call.object === name)
    if (mounted || held > this.realm.world.time || child !== undefined) {
      throw new HoldfastError('still_mounted', `${name} is still held${child === undefined ? '' : ` by ${child.what}`}`)
    }
    this.devices.delete(device.name)
    this.#storage.detach(device)
  }

  /** Another mount namespace keeps the filesystem for a while. */
  hold(object: StoredObject, ms: number): void {
    this.#held.set(object, this.realm.world.time + ms)
  }

  /** Takes the access to an object away: what is under way does not happen, what is attached gives errors. */
  fence(poolId: string, name: string): void {
    for (const call of this.calls) if (call.object === name) call.withdrawn = true
    const device = this.deviceOf(poolId, name)
    if (device === undefined) return
    device.fenced = true
    device.object.devices.delete(device)
    this.realm.world.trace('storage', `${this.name} was fenced off ${name}`)
  }

  /** The device behind a name. @throws storage_failed when it is gone or gives errors */
  device(name: string): Device {
    const device = this.devices.get(name)
    if (device !== undefined && !device.fenced) return device
    throw new HoldfastError('storage_failed', `${name}: input/output error`)
  }
}
