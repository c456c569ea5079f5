/** What the tests of the drivers' contract work on: a driver, its storage, and the sizes that this storage can make. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Capabilities, Driver, ObjectInfo, PoolTarget } from '../../src/drivers/driver.ts'
import type { ErrorCode } from '../../src/model/errors.ts'
import type { Filesystems, FilesystemType } from '../../src/node/filesystems.ts'
import { isDirectory } from './content.ts'

/** Storage made for one test. */
export interface DriverFixture {
  readonly driver: Driver
  readonly filesystems: Filesystems
  /** An empty directory on this machine for mount points. */
  readonly scratch: string
  /** Storage that is empty and not yet marked, with room for 2 GiB of objects (thin is enough), or 12 units if that is more. */
  readonly pool: PoolTarget
  /** The boot id of this machine. */
  readonly bootId: string
  /** Letters of the longest name that the storage takes; 128 if not given, never less than 60. */
  readonly longestName?: number
  /** Whether pools lie beside each other on the storage and none sees another's marker. */
  readonly apart?: boolean
  /** Makes the storage read-only, where that can be done to it. */
  readonly makeReadOnly?: () => Promise<void>
  /** Takes all room of the storage, where that can be done to it. */
  readonly fill?: () => Promise<void>
  /** Removes everything, also after a failed test: mounts, devices, files, processes. */
  dispose(): Promise<void>
}

export const signal = AbortSignal.timeout(1_000_000_000)
export const MIB = 1024 * 1024

export async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: 'HoldfastError', code })
}

/** Its methods can be taken out of it. */
export class Subject {
  readonly fixture: DriverFixture
  readonly driver: Driver
  readonly filesystems: Filesystems
  /** A pool that somebody else has on the same storage, or so he thinks. */
  readonly stranger: PoolTarget
  pool: PoolTarget
  #capabilities: Capabilities | undefined

  constructor(fixture: DriverFixture) {
    const handles = new Map<string, string>()
    this.fixture = fixture
    this.filesystems = fixture.filesystems
    this.driver = remembering(fixture.driver, handles)
    this.pool = { ...fixture.pool, handleOf: (object) => handles.get(object) }
    this.stranger = { ...this.pool, id: 'stranger', name: 'loop~x~stranger', uuid: randomUUID() }
  }

  /** Known once the pool is marked. */
  get capabilities(): Capabilities {
    if (this.#capabilities === undefined) throw new Error('the pool is not marked yet')
    return this.#capabilities
  }

  /** MiB. */
  get small(): number {
    return inUnits(this.capabilities, 8)
  }

  get medium(): number {
    return this.small + inUnits(this.capabilities, 56)
  }

  /** Enough for every filesystem. */
  get large(): number {
    return inUnits(this.capabilities, 384)
  }

  readonly mark = async (): Promise<void> => {
    const handle = await this.driver.mark(this.pool, signal)
    if (handle !== undefined) this.pool = { ...this.pool, handle }
    this.#capabilities = (await this.driver.probe(this.pool, signal)).capabilities
  }

  readonly attach = async (object: string, readOnly = false): Promise<string> =>
    (await this.driver.attach(this.pool, object, readOnly, signal)).device

  /** @returns the progress that was told */
  readonly copy = async (from: string, to: string, kind: 'volume' | 'snapshot' = 'volume'): Promise<number[]> => {
    const seen: number[] = []
    await this.driver.copy(this.pool, from, to, kind, (done) => seen.push(done), signal)
    return seen
  }

  readonly mount = async (device: string, type: FilesystemType): Promise<string> => {
    const target = join(this.fixture.scratch, randomUUID())
    await this.filesystems.mount(device, target, { type, readOnly: false, flags: [] }, signal)
    return target
  }

  /** Formats what is blank and mounts it. */
  readonly put = async (device: string): Promise<string> => {
    const type = isDirectory(device) ? 'directory' : 'ext4'
    await this.filesystems.make(device, type, randomUUID(), signal)
    return await this.mount(device, type)
  }

  /** All that is there; of storage that cannot list, those of the given names. */
  readonly there = async (...names: string[]): Promise<string[]> => {
    const { driver, pool, capabilities } = this
    if (capabilities.list !== false) return (await driver.inventory(pool, signal)).map((info) => info.name)
    const found = await Promise.all(names.map((object) => driver.inspect(pool, object, signal)))
    return found.flatMap((info) => info?.name ?? [])
  }
}

/** The next size that the storage can make, MiB. */
export function inUnits({ unitMiB = 1 }: Capabilities, sizeMiB: number): number {
  return Math.ceil(sizeMiB / unitMiB) * unitMiB
}

/** Whether volumes can be made from volumes. */
export function canCopy({ clone, snapshot }: Capabilities): boolean {
  return clone ?? snapshot !== 'none'
}

/** As the ledger does: what the storage calls an object is kept, and given back with the pool. */
function remembering(driver: Driver, handles: Map<string, string>): Driver {
  const learn = <Info extends ObjectInfo | undefined>(info: Info): Info => {
    if (info?.handle !== undefined) handles.set(info.name, info.handle)
    return info
  }
  return Object.assign(Object.create(driver) as Driver, {
    create: async (...args: Parameters<Driver['create']>) => learn(await driver.create(...args)),
    copy: async (...args: Parameters<Driver['copy']>) => learn(await driver.copy(...args)),
    inspect: async (...args: Parameters<Driver['inspect']>) => learn(await driver.inspect(...args)),
    delete: async (...args: Parameters<Driver['delete']>) => {
      await driver.delete(...args)
      handles.delete(args[1])
    },
  })
}
