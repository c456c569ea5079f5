import { asHoldfastError } from '../model/errors.ts'
import type { Kernel } from './kernel.ts'
import type { Machine } from './machine.ts'
import type { Storage, StoredObject } from './storage.ts'
import type { DiskWatch } from './watch-disk.ts'
import type { World } from './world.ts'

export interface ContainerParts {
  readonly world: World
  readonly machine: Machine
  readonly storage: Storage
  readonly watch: DiskWatch
  /** Tokens that were acknowledged, by object. */
  readonly acknowledged: Map<StoredObject, Set<string>>
}

/** A container that uses a volume on a machine: it has it mounted, writes into it, and lets it go. */
export class Container {
  readonly id: string
  readonly volumeId: string
  readonly machine: Machine
  state: 'mounting' | 'mounted' | 'unmounting' | 'gone' = 'mounting'
  /** Where its volume is, as the daemon answered. */
  path: string | undefined
  readonly #parts: ContainerParts
  readonly #kernel: Kernel
  readonly #mode: 'rw' | 'ro'
  /** It was told to stop. */
  stopping = false
  #tokens = 0
  #tries = 0

  constructor(parts: ContainerParts, id: string, volumeId: string, mode: 'rw' | 'ro') {
    this.#parts = parts
    this.id = id
    this.volumeId = volumeId
    this.machine = parts.machine
    this.#mode = mode
    this.#kernel = parts.machine.kernel
  }

  /** Docker makes a new mount id for every start that it tries. */
  get user(): { door: string; id: string } {
    return { door: 'docker', id: this.#tries === 1 ? this.id : `${this.id}.${this.#tries}` }
  }

  /** The machine it runs on has not been off since it began. */
  get #alive(): boolean {
    return this.machine.kernel === this.#kernel && this.machine.on
  }

  async run(lifeMs: number): Promise<void> {
    const { world } = this.#parts
    if (await this.#mount()) {
      const end = world.time + lifeMs
      while (!this.stopping && world.time < end && this.#alive) {
        await world.sleep(world.random.int(200, 2500))
        if (this.#alive && !this.stopping && !this.#write()) break
      }
      await this.#unmount()
    }
    this.state = 'gone'
  }

  async #mount(): Promise<boolean> {
    const { world } = this.#parts
    while (this.#alive && !this.stopping && this.#tries < 4) {
      this.#tries += 1
      if (await this.#try()) return true
      if (world.random.chance(0.5)) return false
      await world.sleep(world.random.int(500, 4000))
    }
    return false
  }

  async #try(): Promise<boolean> {
    const { world } = this.#parts
    try {
      this.path = await this.machine.door((daemon) =>
        daemon.mount({ volume: this.volumeId, user: this.user, mode: this.#mode }),
      )
    } catch (thrown) {
      const { code } = asHoldfastError(thrown)
      world.trace(this.machine.name, `${this.user.id} has not ${this.volumeId.slice(-4)}: ${code}`)
      // an answer that is an error leaves nothing to let go of; one that never came does
      if (code === 'interrupted') await this.#unmount()
      this.state = 'mounting'
      return false
    }
    this.state = 'mounted'
    world.trace(this.machine.name, `${this.user.id} has ${this.volumeId.slice(-4)} at ${this.path}`)
    this.#checkContent()
    return true
  }

  async #unmount(): Promise<void> {
    const { world } = this.#parts
    this.state = 'unmounting'
    while (this.#alive) {
      try {
        await this.machine.door((daemon) => daemon.unmount(this.volumeId, this.user))
        world.trace(this.machine.name, `${this.user.id} let ${this.volumeId.slice(-4)} go`)
        return
      } catch (thrown) {
        world.trace(this.machine.name, `${this.user.id} cannot let go: ${asHoldfastError(thrown).code}`)
        await world.sleep(world.random.int(500, 4000))
      }
    }
  }

  #device() {
    const mount = this.path === undefined ? undefined : this.#kernel.mounts.get(this.path)
    return { mount, device: mount?.device ?? this.#kernel.devices.get(this.path ?? '') }
  }

  /** What was acknowledged is there. */
  #checkContent(): void {
    const { device } = this.#device()
    if (device === undefined) {
      this.#parts.world.fail(`${this.id} was told ${this.path}, and nothing is there`)
      return
    }
    for (const token of this.#parts.acknowledged.get(device.object) ?? []) {
      if (!device.object.written.includes(token)) this.#parts.world.fail(`${token} is not on ${device.object.name}`)
    }
  }

  /** Writes and syncs; false when the disk gives errors and the container ends. */
  #write(): boolean {
    const { mount, device } = this.#device()
    if (device === undefined || device.fenced || mount?.shut === true || mount?.device.fenced === true) {
      return false
    }
    if (this.#mode === 'ro' || mount?.frozen === true || this.#kernel.realm.paused) return true
    this.#parts.watch.writing(device)
    this.#tokens += 1
    const token = `${this.id}.${this.#tokens}`
    device.object.written.push(token)
    device.object.writes += 1
    if (device.object.content.kind !== 'fs') device.object.content = { kind: 'other', type: undefined }
    let known = this.#parts.acknowledged.get(device.object)
    if (known === undefined) {
      known = new Set()
      this.#parts.acknowledged.set(device.object, known)
    }
    known.add(token)
    return true
  }
}
