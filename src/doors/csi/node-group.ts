import { GrpcError } from '../../csi/grpc-error.ts'
import { asHoldfastError } from '../../model/errors.ts'
import type { NodeDaemon } from '../../node/daemon.ts'
import type { Slot } from '../../node/slot.ts'
import type { GroupOwner } from '../../programs/group-owner.ts'

export interface VolumeGroupsParts {
  readonly owner: GroupOwner
  readonly table: NodeDaemon['table']
  /** Aborts when the door closes. */
  readonly closing: AbortSignal
}

export interface GroupWish {
  readonly gid: number
  /** Where the volume is mounted. */
  readonly path: string
  /** Other nodes may write to it at the same time. */
  readonly shared: boolean
}

interface Running {
  readonly gid: number
  readonly abort: AbortController
  readonly done: Promise<void>
}

/**
 * `volume_mount_group`. A volume with millions of files takes longer than any caller waits, so the work goes on when its
 * caller has gone, and the same call again waits for the rest of it.
 */
export class VolumeGroups {
  readonly #parts: VolumeGroupsParts
  readonly #running = new Map<string, Running>()

  constructor(parts: VolumeGroupsParts) {
    this.#parts = parts
  }

  /** @throws FAILED_PRECONDITION when it can't be now; ABORTED when the caller waits no longer */
  async ensure(slot: Slot, wish: GroupWish, signal: AbortSignal): Promise<void> {
    const name = slot.entry?.volume.name ?? slot.volumeId
    const running = this.#running.get(slot.volumeId)
    if (running === undefined && (await this.#parts.owner.owns(wish.path, wish.gid, signal))) return
    if (running !== undefined && running.gid !== wish.gid) {
      throw new GrpcError('FAILED_PRECONDITION', `volume ${name} is being given to group ${running.gid} just now`)
    }
    if (slot.entry?.mode === 'ro') {
      throw new GrpcError('FAILED_PRECONDITION', `volume ${name} is read-only and belongs to another group`)
    }
    const { done } = running ?? this.#begin(slot, wish)
    const gone = Promise.withResolvers<never>()
    const text = `volume ${name} is still being given to group ${wish.gid}; the same call again goes on waiting`
    const leave = () => gone.reject(new GrpcError('ABORTED', text))
    signal.addEventListener('abort', leave, { once: true })
    await Promise.race([done, gone.promise]).finally(() => signal.removeEventListener('abort', leave))
  }

  #begin(slot: Slot, wish: GroupWish): Running {
    const { owner, table, closing } = this.#parts
    const abort = new AbortController()
    const signal = AbortSignal.any([abort.signal, closing])
    // nobody may come meanwhile: who works in a volume could lead the change astray
    const done = table.exclusive(slot.volumeId, async () => {
      const alone = (slot.entry?.users.length ?? 0) <= 1
      if (!alone && !wish.shared) {
        const text = `volume ${slot.entry?.volume.name} has users of another group on this node; they must go first`
        throw new GrpcError('FAILED_PRECONDITION', text)
      }
      await owner.give(wish.path, wish.gid, !wish.shared, signal)
    })
    const running = { gid: wish.gid, abort, done }
    this.#running.set(slot.volumeId, running)
    const end = () => this.#running.delete(slot.volumeId)
    done.then(end, end)
    return running
  }

  /** The volume goes: whatever is under way ends. */
  async end(volumeId: string): Promise<void> {
    const running = this.#running.get(volumeId)
    running?.abort.abort()
    await running?.done.catch(asHoldfastError)
  }
}
