import type { AttachmentSpec } from '../model/node-protocol.ts'
import type { SlotEntry } from './journal.ts'

/** How things stand with a volume on this node. `unknown`: not looked at since the daemon started. */
export type Actual = 'unknown' | 'down' | 'up' | 'failed'

/** One volume on this node. Everything done to it is done one at a time, in order. */
export class Slot {
  readonly volumeId: string
  entry: SlotEntry | undefined
  actual: Actual = 'down'
  /** Mount point or device while it is up. */
  path: string | undefined
  /** Revision of the newest word of the controller on it. */
  revision = 0
  /** Failures in a row; the wait before the next try grows with them. */
  failures = 0
  /** Boottime since which something keeps its device, although the controller has given it up. */
  keptSince: number | undefined
  /** The next try is due. */
  retrying = false
  /** An earlier life of the daemon was taking it down: that is ended before anything else. */
  halfDown = false
  /** Its I/O was stopped for good, by the emergency stop. */
  stopped = false
  /** Of this epoch it was proven, up to so many claims, that nothing is left here: it must not come back by itself. */
  released: { epoch: number; claims: number } | undefined
  #waiting = 0
  #tail: Promise<unknown> = Promise.resolve()

  constructor(volumeId: string) {
    this.volumeId = volumeId
  }

  /** Nothing is left of the volume here. */
  clear(): void {
    this.entry = undefined
    this.keptSince = undefined
    this.path = undefined
    this.actual = 'down'
    this.failures = 0
    this.stopped = false
    this.halfDown = false
  }

  /** Nothing is being done to it. */
  get idle(): boolean {
    return this.#waiting === 0
  }

  /** Whether an attachment was given up here before the claims that it has now. */
  isReleased(spec: Pick<AttachmentSpec, 'epoch' | 'claims'>): boolean {
    const { released } = this
    if (released === undefined || spec.epoch > released.epoch) return false
    return spec.epoch < released.epoch || spec.claims <= released.claims
  }

  /** Runs after all that was asked before has ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1
    const result = this.#tail.then(work).finally(() => {
      this.#waiting -= 1
    })
    this.#tail = result.catch(() => undefined)
    return result
  }
}

/** Users of an attachment that want it mounted; operations work on the object by themselves. */
export function mountUsers(spec: Pick<AttachmentSpec, 'users'>): { door: string; id: string }[] {
  return spec.users.filter((user) => user.door !== 'operation')
}
