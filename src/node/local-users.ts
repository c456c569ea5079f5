import type { AttachmentSpec } from '../model/node-protocol.ts'
import type { SlotEntry } from './journal.ts'
import { mountUsers } from './slot.ts'

/** Who uses a volume: a container's mount ID, a task, a caller. */
export interface NodeUser {
  readonly door: string
  readonly id: string
}

/** Its users come through the controller, and the node hears of them only from there. */
const REMOTE_DOOR = 'rest'

export interface LocalUsersParts {
  readonly bootId: string
  /** Whether a caller of this node waits just now for a volume on behalf of this user. */
  readonly isAwaited: (user: NodeUser) => boolean
  /** Whether the controller is still to be told that this user came. */
  readonly isOwed: (volumeId: string, user: NodeUser) => boolean
  /** Tells the controller that a user is none. */
  readonly release: (volumeId: string, user: NodeUser) => void
}

/** What this node knows of the users that come through its own doors, and the controller may not. */
export class LocalUsers {
  readonly #parts: LocalUsersParts

  constructor(parts: LocalUsersParts) {
    this.#parts = parts
  }

  /**
   * Users that came through this node's own doors and are none here: the answer to their claim was lost, or the claim
   * came late, after they had gone. Nobody would ever end them.
   */
  strays(spec: AttachmentSpec, entry: SlotEntry | undefined): NodeUser[] {
    if (spec.bootId !== this.#parts.bootId) return []
    const known = entry?.epoch === spec.epoch ? entry.users : []
    return mountUsers(spec).filter(
      (user) => user.door !== REMOTE_DOOR && !isAmong(known, user) && !this.#parts.isAwaited(user),
    )
  }

  /** The controller's word without users that are none; they are released. */
  withoutStrays(spec: AttachmentSpec, entry: SlotEntry | undefined): AttachmentSpec {
    const strays = this.strays(spec, entry)
    for (const stray of strays) this.#parts.release(spec.volume.id, stray)
    return strays.length === 0 ? spec : { ...spec, users: spec.users.filter((user) => !isAmong(strays, user)) }
  }

  /** Those of the controller's word, and those that it is still to be told of. */
  all(spec: AttachmentSpec, entry: SlotEntry): NodeUser[] {
    const untold = entry.users.filter((user) => this.#parts.isOwed(spec.volume.id, user))
    return mergeUsers(mountUsers(spec), untold)
  }
}

export function isAmong(users: readonly NodeUser[], user: NodeUser): boolean {
  return users.some((each) => each.door === user.door && each.id === user.id)
}

export function mergeUsers(a: readonly NodeUser[], b: readonly NodeUser[]): NodeUser[] {
  const merged = [...a]
  for (const user of b) if (!isAmong(merged, user)) merged.push(user)
  return merged
}
