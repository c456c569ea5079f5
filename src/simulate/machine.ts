import { HoldfastError } from '../model/errors.ts'
import { NodeDaemon } from '../node/daemon.ts'
import type { Watchdog } from '../node/self-fence.ts'
import { Calls, type StorageMood } from './calls.ts'
import type { ControllerHost } from './controller-host.ts'
import { Kernel } from './kernel.ts'
import { type JournalDisk, MemoryJournal } from './memory-journal.ts'
import { type KernelByBoot, ModelDriver } from './model-driver.ts'
import { ModelFilesystems } from './model-filesystems.ts'
import type { Network } from './network.ts'
import { type SessionWatch, SimLink, type SimStream } from './sim-link.ts'
import type { Storage } from './storage.ts'
import type { DiskWatch } from './watch-disk.ts'
import { Realm, type World } from './world.ts'

const WATCHDOG_MS = 4000

export interface MachineParts {
  readonly world: World
  readonly name: string
  readonly nodeId: string
  readonly storage: Storage
  readonly network: Network
  readonly hosts: readonly ControllerHost[]
  readonly watch: DiskWatch
  readonly kernelByBoot: KernelByBoot
  readonly mood: StorageMood
  readonly sessions: SessionWatch
  readonly leaseMs: number
  readonly watchdog: boolean
}

/** A machine with a kernel, a daemon that comes and goes, and a disk of its own for the daemon's journal. */
export class Machine {
  readonly name: string
  readonly nodeId: string
  /** ms by which its wall clock is off. */
  skew = 0
  kernel: Kernel
  daemon: NodeDaemon | undefined
  /** Pools whose storage it does not reach now, until when. */
  readonly outages = new Map<string, number>()
  readonly #parts: MachineParts
  readonly #journal: JournalDisk = new Map()
  #realm: Realm
  #link: SimLink | undefined
  #fedAt = 0
  /** Whether somebody here uses what is mounted at a target. */
  busy: (target: string) => boolean = () => false

  constructor(parts: MachineParts) {
    this.#parts = parts
    this.name = parts.name
    this.nodeId = parts.nodeId
    this.kernel = new Kernel(parts.world, parts.storage, parts.name, parts.nodeId)
    this.#realm = new Realm(parts.world, parts.name, this.kernel.realm)
    this.#realm.die()
  }

  get on(): boolean {
    return this.kernel.realm.alive
  }

  /** Turns the machine on: a new boot. */
  boot(): void {
    const { world, storage, name, nodeId } = this.#parts
    if (this.on) this.off()
    this.kernel = new Kernel(world, storage, name, nodeId)
    this.kernel.busy = (target) => this.busy(target)
    world.trace(name, `boots ${this.kernel.bootId.slice(-4)}`)
    this.startDaemon()
  }

  /** Power off: everything in the kernel is gone. */
  off(): void {
    if (!this.on) return
    this.#parts.world.trace(this.name, 'is off')
    this.#realm.die()
    this.daemon = undefined
    this.kernel.die()
  }

  /** The daemon dies where it stands; what it began in the kernel goes on. */
  killDaemon(): void {
    if (this.daemon === undefined) return
    this.#parts.world.trace(this.name, 'daemon dies')
    this.daemon = undefined
    this.#realm.die()
  }

  pauseDaemon(ms: number): void {
    this.#realm.pause(ms)
  }

  startDaemon(): void {
    if (!this.on || this.daemon !== undefined) return
    const { world, storage, network, hosts, watch, kernelByBoot, nodeId, name, leaseMs } = this.#parts
    const { kernel } = this
    const realm = new Realm(world, name, kernel.realm)
    this.#realm = realm
    const calls = new Calls(kernel, realm, (poolId) => this.#mood(poolId))
    const watchdog = this.#parts.watchdog ? this.#watchdog(kernel) : undefined
    this.#link = new SimLink({ nodeId, realm, machine: name, hosts, network, watch: this.#parts.sessions })
    this.daemon = new NodeDaemon({
      link: this.#link,
      journal: new MemoryJournal(this.#journal),
      clock: realm.clock(() => this.skew),
      drivers: new Map([['model', new ModelDriver(storage, kernel, calls, kernelByBoot)]]),
      filesystems: new ModelFilesystems(kernel, calls, watch),
      mountPoints: { targetOf: (volumeId) => `/mnt/${volumeId}` },
      bootId: kernel.bootId,
      machineId: name,
      version: '1.0.0',
      leaseMs,
      log: (event, data) => world.trace(name, `${event} ${JSON.stringify(data)}`),
      ...(watchdog === undefined ? {} : { watchdog }),
    })
    world.trace(name, 'daemon starts')
    this.daemon.start()
  }

  #mood(poolId: string): StorageMood {
    const { mood, world } = this.#parts
    const out = (this.outages.get(poolId) ?? 0) > world.time
    return out ? { ...mood, fail: 0.7, hang: 0.5 } : mood
  }

  /** Whether the daemon here counts on a lease just now. */
  get leased(): boolean {
    const { daemon } = this
    return daemon !== undefined && this.on && this.#realm.clock(() => 0).boottime() < daemon.leaseUntil
  }

  get streams(): Iterable<SimStream> {
    return this.#link?.streams ?? []
  }

  /** It counts in hardware, whether the machine stands still or not. */
  #watchdog(kernel: Kernel): Watchdog {
    const { world } = this.#parts
    this.#fedAt = world.time
    const check = () => {
      if (this.kernel !== kernel || !kernel.realm.alive) return
      const left = this.#fedAt + WATCHDOG_MS - world.time
      if (left > 0) {
        world.after(left, check)
        return
      }
      world.trace(this.name, 'watchdog resets the machine')
      this.off()
      world.after(world.random.int(2000, 8000), () => this.boot())
    }
    if (!this.#watched.has(kernel)) {
      this.#watched.add(kernel)
      world.after(WATCHDOG_MS, check)
    }
    return {
      armed: true,
      timeoutMs: WATCHDOG_MS,
      feed: () => {
        this.#fedAt = world.time
      },
    }
  }
  readonly #watched = new WeakSet<Kernel>()

  /**
   * Asks the daemon through its socket.
   * @throws unreachable when it is not there, or dies before it answers
   */
  door<T>(ask: (daemon: NodeDaemon) => Promise<T>): Promise<T> {
    const { daemon } = this
    const realm = this.#realm
    return new Promise<T>((resolve, reject) => {
      const gone = () => reject(new HoldfastError('interrupted', `the daemon of ${this.name} went away`))
      if (daemon === undefined) return gone()
      const ignore = realm.onDeath(gone)
      const forget = this.kernel.realm.onDeath(gone)
      realm.after(1, () => {
        ask(daemon)
          .then(resolve, reject)
          .finally(() => {
            ignore()
            forget()
          })
      })
    })
  }
}
