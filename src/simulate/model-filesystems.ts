import { HoldfastError } from '../model/errors.ts'
import type { Filesystems, FilesystemType, MountEntry, Signature } from '../node/filesystems.ts'
import type { CallSpec, Calls } from './calls.ts'
import type { Kernel, Mount } from './kernel.ts'
import type { Content, Device, StoredObject } from './storage.ts'

/** What the watch wants to be told before it happens. */
export interface FilesystemWatch {
  formatting(device: Device, uuid: string): void
  changing(device: Device): void
  mounting(device: Device, target: string): void
}

/** The filesystems of one kernel, as one daemon uses them. */
export class ModelFilesystems implements Filesystems {
  readonly #kernel: Kernel
  readonly #calls: Calls
  readonly #watch: FilesystemWatch

  constructor(kernel: Kernel, calls: Calls, watch: FilesystemWatch) {
    this.#kernel = kernel
    this.#calls = calls
    this.#watch = watch
  }

  #on<T>(
    name: string,
    spec: Pick<CallSpec<T>, 'what' | 'factor' | 'begin'>,
    signal: AbortSignal,
    effect: (device: Device) => T,
  ): Promise<T> {
    const device = this.#kernel.devices.get(name)
    if (device === undefined) return Promise.reject(new HoldfastError('storage_failed', `${name}: no such device`))
    const { poolId, name: object } = device.object
    const run = () => effect(this.#kernel.device(name))
    return this.#calls.run({ ...spec, poolId, object, child: true, effect: run }, signal)
  }

  probe(device: string, signal: AbortSignal): Promise<Signature> {
    return this.#on(device, { what: 'blkid' }, signal, ({ object }) => signature(object.content))
  }

  make(device: string, type: FilesystemType, uuid: string, signal: AbortSignal): Promise<void> {
    const visible = this.#kernel.realm.world.random.chance(0.5)
    const begin = () => {
      const found = this.#kernel.devices.get(device)
      if (found === undefined || found.fenced) return
      this.#watch.formatting(found, uuid)
      write(found.object, { kind: 'half', visible })
    }
    return this.#on(device, { what: 'mkfs', factor: 10, begin }, signal, (found) => {
      this.#watch.changing(found)
      write(found.object, { kind: 'fs', type, uuid, sizeMiB: found.object.sizeMiB })
    })
  }

  changeUuid(device: string, type: FilesystemType, uuid: string, signal: AbortSignal): Promise<void> {
    return this.#on(device, { what: 'change-uuid' }, signal, (found) => {
      const { content } = found.object
      if (content.kind !== 'fs' || content.type !== type) throw failed(`${device} holds no ${type}`)
      this.#watch.changing(found)
      write(found.object, { ...content, uuid })
    })
  }

  mount(
    device: string,
    target: string,
    options: { type: FilesystemType; readOnly: boolean; flags: readonly string[] },
    signal: AbortSignal,
  ): Promise<void> {
    return this.#on(device, { what: 'mount' }, signal, (found) => {
      const { content } = found.object
      if (content.kind !== 'fs' || content.type !== options.type) throw failed(`${device}: wrong filesystem type`)
      if (found.readOnly && !options.readOnly) throw failed(`${device} is write-protected`)
      if (this.#kernel.mounts.has(target)) throw failed(`${target} is a mount point already`)
      this.#watch.mounting(found, target)
      found.quiet = false
      if (!options.readOnly) found.object.writes += 1
      const { type, readOnly } = options
      this.#kernel.mounts.set(target, { target, device: found, type, readOnly, frozen: false, shut: false })
      this.#kernel.realm.world.trace(this.#kernel.name, `mounted ${found.object.name}`)
    })
  }

  unmount(target: string, signal: AbortSignal): Promise<void> {
    const there = this.#kernel.mounts.get(target)
    if (there === undefined) return Promise.resolve()
    const { poolId, name } = there.device.object
    const effect = () => {
      const mount = this.#kernel.mounts.get(target)
      if (mount === undefined) return
      if (this.#kernel.busy(target)) throw new HoldfastError('still_mounted', `${target} is busy`)
      this.#kernel.mounts.delete(target)
      if (!mount.readOnly && !mount.shut && !mount.device.fenced) mount.device.object.writes += 1
      const { random } = this.#kernel.realm.world
      // a node that has lost the volume does not wait as long for those who keep its device
      const lost = mount.shut || mount.device.fenced
      if (random.chance(0.05)) this.#kernel.hold(mount.device.object, random.int(500, lost ? 2400 : 15_000))
      this.#kernel.realm.world.trace(this.#kernel.name, `unmounted ${name}`)
    }
    return this.#calls.run({ what: 'umount', poolId, object: name, child: true, effect }, signal)
  }

  grow(device: string, _type: FilesystemType, _target: string | undefined, signal: AbortSignal): Promise<void> {
    return this.#on(device, { what: 'resize2fs', factor: 2 }, signal, (found) => {
      const { content } = found.object
      if (content.kind !== 'fs') throw failed(`${device} holds no filesystem`)
      this.#watch.changing(found)
      write(found.object, { ...content, sizeMiB: found.object.sizeMiB })
    })
  }

  freeze(target: string, signal: AbortSignal): Promise<void> {
    return this.#at('freeze', target, signal, (mount) => {
      if (mount.frozen) throw new HoldfastError('in_use', `${target} is frozen already`)
      mount.frozen = true
      this.#kernel.realm.world.trace(this.#kernel.name, `froze ${mount.device.object.name}`)
    })
  }

  thaw(target: string, signal: AbortSignal): Promise<void> {
    return this.#at('thaw', target, signal, (mount) => {
      mount.frozen = false
      this.#kernel.realm.world.trace(this.#kernel.name, `thawed ${mount.device.object.name}`)
    })
  }

  shutdown(target: string, signal: AbortSignal): Promise<void> {
    return this.#at('shutdown', target, signal, (mount) => {
      if (mount.type === 'btrfs') throw new HoldfastError('unsupported', 'btrfs cannot be stopped')
      mount.shut = true
      mount.device.quiet = true
    })
  }

  #at(what: string, target: string, signal: AbortSignal, effect: (mount: Mount) => void): Promise<void> {
    const mount = this.#kernel.mounts.get(target)
    if (mount === undefined) return Promise.reject(failed(`${target} is not mounted`))
    const { poolId, name } = mount.device.object
    const run = () => {
      const now = this.#kernel.mounts.get(target)
      if (now === undefined) throw failed(`${target} is not mounted`)
      effect(now)
    }
    return this.#calls.run({ what, poolId, object: name, child: true, effect: run }, signal)
  }

  async mounts(): Promise<MountEntry[]> {
    return [...this.#kernel.mounts.values()].map(({ target, device, type, readOnly }) => ({
      target,
      device: device.name,
      type,
      readOnly,
    }))
  }

  async usage(): Promise<{ sizeMiB: number; usedMiB: number; freeMiB: number }> {
    return { sizeMiB: 0, usedMiB: 0, freeMiB: 0 }
  }
}

function signature(content: Content): Signature {
  if (content.kind === 'fs') return { type: content.type, uuid: content.uuid }
  if (content.kind === 'half') return { type: content.visible ? 'ext4' : undefined, uuid: undefined }
  return { type: content.kind === 'other' ? content.type : undefined, uuid: undefined }
}

function write(object: StoredObject, content: Content): void {
  object.content = content
  object.writes += 1
}

function failed(message: string): HoldfastError {
  return new HoldfastError('storage_failed', message)
}
