import type { Clock } from '../../model/clock.ts'
import { asHoldfastError } from '../../model/errors.ts'
import type { LocalVolumes } from './local.ts'
import { type Mounts, SET_USER } from './mounts.ts'

export interface ReconcilerParts {
  readonly local: Pick<LocalVolumes, 'users'>
  readonly mounts: Pick<Mounts, 'busy' | 'begun' | 'ageOf' | 'unmount'>
  /** Names of the volumes that running containers have. */
  readonly volumesInUse: () => Promise<ReadonlySet<string>>
  readonly clock: Clock
  readonly graceMs: number
  readonly lookMs: number
  readonly log: (event: string, data: Record<string, unknown>) => void
}

/**
 * Docker skips Unmount when it dies, or is restarted, at the wrong moment (docker/for-linux issue 404): the volume would
 * stay on this node for ever. A user is let go when its volume was in no running container at two looks in a row and
 * it did not come lately. A container that is just being started is not running yet, so nothing is concluded while a
 * Mount is under way; and nothing at all while Docker can't be asked.
 */
export class Reconciler {
  readonly #parts: ReconcilerParts
  #suspects = new Map<string, number>()
  #cancel: (() => void) | undefined
  #stopped = true
  #answered = true

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
  }

  start(): void {
    this.#stopped = false
    this.#later()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #later(): void {
    if (this.#stopped) return
    this.#cancel = this.#parts.clock.after(this.#parts.lookMs, () => {
      void this.reconcile().finally(() => this.#later())
    })
  }

  /** One look. Never throws. @returns the users it let go */
  async reconcile(): Promise<{ name: string; id: string }[]> {
    const { mounts, local } = this.#parts
    const { begun } = mounts
    if (mounts.busy) return []
    const users = local.users().filter((user) => user.id !== SET_USER)
    const used = users.length === 0 ? new Set<string>() : await this.#volumesInUse()
    if (used === undefined) {
      this.#suspects.clear()
      return []
    }
    // what came while Docker was asked may belong to a container that it did not list yet
    if (mounts.busy || mounts.begun !== begun) return []
    const unused = users.filter(({ name, id }) => !used.has(name) && mounts.ageOf(name, id) >= this.#parts.graceMs)
    const leftOver = this.#suspect(unused)
    const released = await Promise.all(leftOver.map(async (user) => ((await this.#release(user)) ? [user] : [])))
    return released.flat()
  }

  async #volumesInUse(): Promise<ReadonlySet<string> | undefined> {
    try {
      const used = await this.#parts.volumesInUse()
      this.#answered = true
      return used
    } catch (thrown) {
      // said once, not at every look
      if (this.#answered) this.#parts.log('docker.unreachable', { message: asHoldfastError(thrown).message })
      this.#answered = false
      return undefined
    }
  }

  /** @returns those that were unused at the look before, too, and that one not just now */
  #suspect(unused: { name: string; id: string }[]): { name: string; id: string }[] {
    const { clock, lookMs } = this.#parts
    const now = clock.boottime()
    const before = this.#suspects
    this.#suspects = new Map(unused.map(({ name, id }) => [`${name}/${id}`, before.get(`${name}/${id}`) ?? now]))
    return unused.filter(({ name, id }) => now - (before.get(`${name}/${id}`) ?? now) >= lookMs / 2)
  }

  async #release(user: { name: string; id: string }): Promise<boolean> {
    const { mounts, log } = this.#parts
    try {
      await mounts.unmount(user.name, user.id)
      log('docker.unmount.skipped', { volume: user.name, user: user.id })
      return true
    } catch (thrown) {
      log('docker.unmount.failed', { volume: user.name, message: asHoldfastError(thrown).message })
      return false
    }
  }
}
