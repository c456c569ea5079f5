import type { Slot } from '../../node/slot.ts'
import type { VolumeTable } from '../../node/volume-table.ts'

/** What this node has mounted, which is known without asking the controller. */
export class LocalVolumes {
  readonly #table: Pick<VolumeTable, 'find' | 'slots'>

  constructor(table: Pick<VolumeTable, 'find' | 'slots'>) {
    this.#table = table
  }

  /** Where a volume is mounted here, by name or id. */
  mountpoint(nameOrId: string): string | undefined {
    const slot = this.#table.find(nameOrId)
    return isMounted(slot) ? slot.path : undefined
  }

  /** A volume that is mounted here for a container: that it is this door's business was decided when it was. */
  mountedForDocker(name: string): { id: string; path: string; mode: 'rw' | 'ro' } | undefined {
    const slot = this.#table.find(name)
    if (!isMounted(slot) || slot.path === undefined || slot.entry?.volume.name !== name) return undefined
    const { users, mode } = slot.entry
    return users.some((user) => user.door === 'docker') ? { id: slot.volumeId, path: slot.path, mode } : undefined
  }

  hasUser(name: string, id: string): boolean {
    const users = this.#table.find(name)?.entry?.users ?? []
    return users.some((user) => user.door === 'docker' && user.id === id)
  }

  /** Docker's users of all volumes on this node. */
  users(): { name: string; id: string }[] {
    return [...this.#table.slots].flatMap(({ entry }) =>
      (entry?.users ?? []).flatMap(({ door, id }) =>
        door === 'docker' && entry !== undefined ? [{ name: entry.volume.name, id }] : [],
      ),
    )
  }
}

function isMounted(slot: Slot | undefined): slot is Slot {
  return slot?.actual === 'up' && slot.entry !== undefined && slot.entry.volume.fs !== 'raw'
}
