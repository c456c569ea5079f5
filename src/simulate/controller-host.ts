import { Controller } from '../controller/controller.ts'
import { HoldfastError } from '../model/errors.ts'
import { type CommitFault, type MemoryDisk, MemoryStore } from '../store/memory.ts'
import type { Batch } from '../store/store.ts'
import { Realm, type World } from './world.ts'

/** How the store behaves just now. */
export interface StoreMood {
  /** Chance that the answer to a commit is lost, in one way or another. */
  fault: number
  slowness: number
}

export interface ControllerHostParts {
  readonly world: World
  readonly name: string
  readonly disk: MemoryDisk
  readonly leaseMs: number
  readonly mood: StoreMood
  /** Told of every batch that the disk takes, synced or not. */
  readonly onBatch: (batch: Batch) => void
}

/** A machine on which a controller runs, or waits to. */
export class ControllerHost {
  readonly name: string
  /** ms by which its wall clock is off. */
  skew = 0
  realm: Realm
  controller: Controller | undefined
  readonly #parts: ControllerHostParts

  constructor(parts: ControllerHostParts) {
    this.#parts = parts
    this.name = parts.name
    this.realm = new Realm(parts.world, parts.name)
    this.realm.die()
  }

  get up(): boolean {
    return this.controller !== undefined && this.realm.alive
  }

  get leads(): boolean {
    return this.up && this.controller?.engine.leading === true
  }

  /** Starts a new process, which campaigns and leads. */
  start(): void {
    if (this.up) return
    const { world, name, disk, leaseMs } = this.#parts
    const realm = new Realm(world, name)
    this.realm = realm
    const controller = new Controller({
      store: this.#store(realm, disk),
      clock: realm.clock(() => this.skew),
      newId: world.newId,
      newUuid: world.newUuid,
      leaseMs,
      onState: (state, error) => {
        world.trace(name, `${state}${error === undefined ? '' : `: ${error.code}`} (term ${controller.engine.term})`)
        // another leads: this one waits until it is asked to
        if (state === 'down' && error?.code === 'fenced' && this.controller === controller) this.stop()
      },
    })
    this.controller = controller
    world.trace(name, 'starts')
    controller.start().catch((error: unknown) => {
      world.trace(name, `did not start: ${String(error)}`)
      if (this.controller === controller) this.kill()
    })
  }

  /** Ends in order. */
  stop(): void {
    const { controller, realm } = this
    this.controller = undefined
    void controller?.stop().then(() => realm.die())
  }

  /** Ends at once, in the middle of whatever it does. */
  kill(): void {
    this.#parts.world.trace(this.name, 'dies')
    this.controller = undefined
    this.realm.die()
  }

  #store(realm: Realm, disk: MemoryDisk): MemoryStore {
    const { world, mood, onBatch } = this.#parts
    return new MemoryStore(disk, {
      delay: () =>
        new Promise((resolve) =>
          realm.after(world.random.int(1, world.random.chance(0.02) ? 2000 : mood.slowness), resolve),
        ),
      faults: {
        beforeCommit: (batch) => {
          const fault = world.random.chance(mood.fault) ? world.random.pick(FAULTS) : 'ok'
          if (fault !== 'unknown-lost' && disk.accepts(batch)) onBatch(batch)
          if (fault !== undefined && fault !== 'ok') world.trace(this.name, `commit ${batch.revision}: ${fault}`)
          return fault ?? 'ok'
        },
      },
    })
  }

  /**
   * A request over the network: what is asked runs in the process that lives now.
   * @throws unreachable when there is no answer
   */
  ask<T>(
    from: Realm,
    arrivals: number[],
    answers: () => number[],
    timeoutMs: number,
    work: (controller: Controller) => Promise<T>,
  ): Promise<T> {
    const { controller, realm } = this
    return new Promise<T>((resolve, reject) => {
      const nobody = () => reject(new HoldfastError('unreachable', `${this.name} does not answer`))
      if (controller === undefined || !realm.alive) {
        from.after(5, nobody)
        return
      }
      const cancel = from.after(timeoutMs, nobody)
      const answer = (tell: () => void) => {
        const [ms] = answers()
        if (ms === undefined) return
        from.after(ms, () => {
          cancel()
          tell()
        })
      }
      for (const ms of arrivals) {
        realm.after(ms, () => {
          work(controller).then(
            (result) => answer(() => resolve(result)),
            (error: unknown) => answer(() => reject(error as Error)),
          )
        })
      }
    })
  }
}

const FAULTS: readonly CommitFault[] = ['unsynced', 'unknown-applied', 'unknown-lost']
