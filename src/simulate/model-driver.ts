import type { Attached, Driver, ObjectInfo, PoolProbe, PoolTarget, Progress } from '../drivers/driver.ts'
import { HoldfastError } from '../model/errors.ts'
import type { Calls } from './calls.ts'
import type { Kernel } from './kernel.ts'
import type { Storage, StoredObject } from './storage.ts'

/** What finds the kernel of a machine by its boot id, if it still runs. */
export type KernelByBoot = (bootId: string) => Kernel | undefined

/** A driver on the model storage, as one daemon has it. */
export class ModelDriver implements Driver {
  readonly name = 'model'
  readonly #storage: Storage
  readonly #kernel: Kernel
  readonly #calls: Calls
  readonly #kernelByBoot: KernelByBoot

  constructor(storage: Storage, kernel: Kernel, calls: Calls, kernelByBoot: KernelByBoot) {
    this.#storage = storage
    this.#kernel = kernel
    this.#calls = calls
    this.#kernelByBoot = kernelByBoot
  }

  checkSettings(): void {}

  probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    return this.#call('probe', pool, '', signal, () => {
      if (!this.#storage.isMarked(pool.id)) throw new HoldfastError('no_marker', `${pool.name} has no marker`)
      const { snapshot, fence, idempotent } = this.#storage.settings(pool.id)
      return {
        capabilities: {
          snapshot,
          grow: 'online',
          block: true,
          readOnlyMany: true,
          formats: 'holdfast',
          filesystems: ['ext4', 'xfs', 'btrfs'],
          fence,
          idempotent,
          maxObjectMiB: 2000,
        },
        sizeMiB: undefined,
        freeMiB: undefined,
      }
    })
  }

  async mark(pool: PoolTarget, signal: AbortSignal): Promise<undefined> {
    await this.#call('mark', pool, '', signal, () => this.#storage.mark(pool.id))
  }

  create(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return this.#call('create', pool, object, signal, () => info(this.#storage.create(pool.id, object, sizeMiB)))
  }

  isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return this.#call(
      'isBlank',
      pool,
      object,
      signal,
      () => this.#storage.need(pool.id, object).content.kind === 'blank',
    )
  }

  delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    return this.#call('delete', pool, object, signal, () => {
      if (this.#kernel.deviceOf(pool.id, object) !== undefined) {
        throw new HoldfastError('in_use', `${object} is attached here`)
      }
      this.#storage.delete(pool.id, object)
    })
  }

  copy(
    pool: PoolTarget,
    source: string,
    object: string,
    _kind: 'volume' | 'snapshot',
    progress: Progress,
    signal: AbortSignal,
  ): Promise<ObjectInfo> {
    let since: number | undefined
    const slow = this.#storage.settings(pool.id).snapshot === 'copy'
    return this.#calls.run(
      {
        what: 'copy',
        poolId: pool.id,
        object,
        factor: slow ? 20 : 1,
        begin: () => {
          if (slow) since = this.#storage.find(pool.id, source)?.writes
          progress(0.5)
        },
        effect: () => {
          const { writes } = this.#storage.need(pool.id, source)
          return info(this.#storage.copy(pool.id, source, object, slow ? (since ?? -1) : writes))
        },
      },
      signal,
    )
  }

  grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return this.#call('grow', pool, object, signal, () => info(this.#storage.grow(pool.id, object, sizeMiB)))
  }

  inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    return this.#call('inspect', pool, object, signal, () => {
      const found = this.#storage.find(pool.id, object)
      return found === undefined ? undefined : info(found)
    })
  }

  inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    return this.#call('inventory', pool, '', signal, () => this.#storage.objects(pool.id).map(info))
  }

  attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return this.#call('attach', pool, object, signal, () => {
      const device = this.#kernel.attach(pool.id, object, readOnly)
      return { object, device: device.name, readOnly }
    })
  }

  detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    return this.#call('detach', pool, object, signal, () => this.#kernel.detach(pool.id, object))
  }

  attached(pool: PoolTarget, signal: AbortSignal): Promise<Attached[]> {
    return this.#call('attached', pool, '', signal, () =>
      [...this.#kernel.devices.values()]
        .filter((device) => device.object.poolId === pool.id)
        .map((device) => ({ object: device.object.name, device: device.name, readOnly: device.readOnly })),
    )
  }

  fence(pool: PoolTarget, object: string, machine: { bootId: string }, signal: AbortSignal): Promise<void> {
    if (this.#storage.settings(pool.id).fence === 'none') {
      return Promise.reject(new HoldfastError('unsupported', 'this storage cannot fence'))
    }
    return this.#call('fence', pool, object, signal, () => this.#kernelByBoot(machine.bootId)?.fence(pool.id, object))
  }

  async close(): Promise<void> {}

  #call<T>(what: string, pool: PoolTarget, object: string, signal: AbortSignal, effect: () => T): Promise<T> {
    return this.#calls.run({ what, poolId: pool.id, object, effect }, signal)
  }
}

function info(object: StoredObject): ObjectInfo {
  return { name: object.name, sizeMiB: object.sizeMiB, usedMiB: undefined }
}
