import type { BindMounts } from '../../programs/bind-mounts.ts'
import type { MountedAt } from '../../programs/mount-table.ts'
import type { StagedBook } from './node-book.ts'
import { isPlaceholder } from './node-mesos.ts'
import { type Place, samePlace, volumePlace } from './node-place.ts'
import type { NodeVolumes } from './node-volumes.ts'

/** What is mounted at a path that a caller chose. */
export type Occupant =
  | { readonly kind: 'nothing' }
  /** The volume in question. */
  | { readonly kind: 'volume'; readonly mount: MountedAt }
  /** The empty directory of node-mesos.ts. */
  | { readonly kind: 'placeholder' }
  /** Another volume, or something that is none. */
  | { readonly kind: 'other'; readonly volume: string | undefined; readonly what: string }

export interface OccupantsParts {
  readonly mounts: BindMounts
  readonly book: StagedBook
  readonly volumes: NodeVolumes
}

/** Tells by the kernel's table whose mount is where; nothing mounted is touched. */
export class Occupants {
  readonly #parts: OccupantsParts

  constructor(parts: OccupantsParts) {
    this.#parts = parts
  }

  async at(path: string, volumeId: string): Promise<Occupant> {
    const all = await this.#parts.mounts.all()
    const mount = all.findLast((each) => each.target === path)
    if (mount === undefined) return { kind: 'nothing' }
    if (isPlaceholder(mount)) return { kind: 'placeholder' }
    if ((await this.#places(all, volumeId)).some((place) => samePlace(place, mount))) return { kind: 'volume', mount }
    const other = [...this.#parts.book.all].find(([, entry]) => samePlace(entry.place, mount))?.[1].asked
    const what = other === undefined ? `${mount.type} (${mount.device}) is mounted there` : `volume ${other} is there`
    return { kind: 'other', volume: other, what }
  }

  /** What a volume is seen as here, now or when it was staged: a mount may be left when it has gone. */
  async #places(all: readonly MountedAt[], volumeId: string): Promise<Place[]> {
    const { book, volumes } = this.#parts
    const staged = [...book.all].flatMap(([, entry]) => (entry.volumeId === volumeId ? (entry.place ?? []) : []))
    const now = await this.now(volumes.here(volumeId)?.path, all)
    return now === undefined ? staged : [...staged, now]
  }

  /** Of a mount point or device of ours. */
  async now(path: string | undefined, all?: readonly MountedAt[]): Promise<Place | undefined> {
    return path === undefined ? undefined : volumePlace(all ?? (await this.#parts.mounts.all()), path)
  }

  /** All that shows the same. */
  async showing(place: Place): Promise<MountedAt[]> {
    return (await this.#parts.mounts.all()).filter((each) => samePlace(each, place))
  }
}
