import { HoldfastError } from '../model/errors.ts'
import type { Call, Kernel } from './kernel.ts'
import type { Realm, World } from './world.ts'

/** How storage behaves just now. */
export interface StorageMood {
  /** Chance that a call fails and does nothing. */
  fail: number
  /** Chance that a call does what it was asked, and says that it timed out. */
  lost: number
  /** Chance that a call takes very long. */
  hang: number
  /** Usual duration of a call in ms. */
  slowness: number
}

export interface CallSpec<T> {
  readonly what: string
  readonly poolId: string
  readonly object: string
  /** How many times the usual duration. */
  readonly factor?: number
  /** A child in the kernel: it holds the device, and outlives the daemon and sometimes even being killed. */
  readonly child?: boolean
  /** What is done when its turn comes. */
  readonly begin?: () => void
  readonly effect: () => T
}

/** How calls to storage and kernel come out: late, not at all, or done without saying so. One order per object. */
export class Calls {
  readonly #world: World
  readonly #kernel: Kernel
  /** The daemon that calls; a dead one gets no answer. */
  readonly #caller: Realm
  readonly #mood: (poolId: string) => StorageMood

  constructor(kernel: Kernel, caller: Realm, mood: (poolId: string) => StorageMood) {
    this.#world = kernel.realm.world
    this.#kernel = kernel
    this.#caller = caller
    this.#mood = mood
  }

  run<T>(spec: CallSpec<T>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(aborted(signal, spec.what))
    const { random } = this.#world
    const mood = this.#mood(spec.poolId)
    const hangs = random.chance(mood.hang)
    const usual = mood.slowness * (spec.factor ?? 1)
    const duration = hangs ? random.int(8000, 70_000) : random.int(Math.ceil(usual / 4), usual)
    const lane = `${spec.poolId}/${spec.object}`
    const now = this.#world.time
    // calls about a whole pool wait for no other
    const { begins, ends } =
      spec.object === '' ? { begins: now, ends: now + duration } : this.#kernel.reserve(lane, duration)
    const fate = random.chance(mood.fail) ? 'fail' : random.chance(mood.lost) ? 'lost' : 'done'
    const call: Call = { object: spec.object, what: spec.what, withdrawn: false, holds: spec.child === true }
    this.#kernel.calls.add(call)
    if (hangs) this.#world.trace(this.#kernel.name, `${spec.what} ${spec.object} hangs ${duration} ms`)
    return new Promise<T>((resolve, reject) => {
      const answer = (ms: number, tell: () => void) => this.#caller.after(ms, tell)
      const onAbort = () => {
        if (this.#giveUp(call, spec, answer, reject, signal)) this.#kernel.release(lane, { begins, ends })
      }
      signal.addEventListener('abort', onAbort, { once: true })
      if (spec.begin !== undefined) this.#begin(spec.begin, call, begins - now)
      this.#kernel.realm.after(ends - now, () => {
        this.#kernel.calls.delete(call)
        signal.removeEventListener('abort', onAbort)
        if (call.withdrawn || fate === 'fail') {
          answer(1, () => reject(failure(spec)))
          return
        }
        try {
          const result = spec.effect()
          const late = new HoldfastError('storage_timeout', `${spec.what} of ${spec.object} gave no answer`)
          answer(1, () => (fate === 'lost' ? reject(late) : resolve(result)))
        } catch (thrown) {
          answer(1, () => reject(thrown as Error))
        }
      })
    })
  }

  #begin(begin: () => void, call: Call, ms: number): void {
    this.#kernel.realm.after(ms, () => {
      if (!call.withdrawn) begin()
    })
  }

  /**
   * The caller waits no longer. A child may be in uninterruptible sleep; a request may be on its way already.
   * @returns whether it is over
   */
  #giveUp(
    call: Call,
    spec: CallSpec<unknown>,
    answer: (ms: number, tell: () => void) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal,
  ): boolean {
    const goesOn = this.#world.random.chance(spec.child === true ? 0.3 : 0.5)
    if (!goesOn) call.withdrawn = true
    if (!goesOn && spec.child === true) this.#kernel.calls.delete(call)
    const stuck = goesOn && spec.child === true
    const error = stuck
      ? new HoldfastError('stuck', `${spec.what} on ${spec.object} could not be ended`)
      : aborted(signal, spec.what)
    answer(1, () => reject(error))
    return !goesOn
  }
}

function failure(spec: CallSpec<unknown>): HoldfastError {
  return new HoldfastError('storage_failed', `${spec.what} of ${spec.object} failed`)
}

function aborted(signal: AbortSignal, what: string): HoldfastError {
  const { reason } = signal
  return reason instanceof HoldfastError ? reason : new HoldfastError('cancelled', `${what} was cancelled`)
}
