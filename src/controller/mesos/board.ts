import type { ProjectedRaw } from '../../mesos/projection.ts'
import type { Node } from '../../model/node.ts'
import type { Volume } from '../../model/volume.ts'
import { headerOf, type PoolView } from './pool-view.ts'
import { diskOf, type Place, placeOf, seenFrom, usedFrom } from './project-disks.ts'
import { rawFor, sharedRaw } from './project-raw.ts'

/** A volume as it was last looked at. */
export interface Shown {
  /** The record that the texts were made of, or a later one that says the same. */
  volume: Volume
  readonly place: Place
  /** As JSON, used where it is read and idle. */
  readonly idle: string
  readonly used: string
}

/** What the volumes were that have changed. */
export type Outdated = ReadonlyMap<string, Shown | undefined>

/**
 * One pool as its nodes are told of it, as JSON that is made once and sent to all of them: a thousand streams show the
 * same pool, and differ by a few words.
 */
export class Board {
  readonly poolId: string
  #header = ''
  #raw: readonly ProjectedRaw[] = []
  #rawText = ''
  readonly #disks = new Map<string, Shown>()

  constructor(view: PoolView) {
    this.poolId = view.pool.id
    this.renew(view)
  }

  /** Everything anew. */
  renew(view: PoolView): void {
    this.#header = JSON.stringify(headerOf(view)).slice(1, -1)
    this.renewRaw(view)
    this.#disks.clear()
    for (const id of view.state.volumesByPool.get(this.poolId)) this.#look(view, id)
  }

  /** @returns whether it is another */
  renewRaw(view: PoolView): boolean {
    const raw = sharedRaw(view)
    const text = JSON.stringify(raw)
    if (text === this.#rawText) return false
    this.#raw = raw
    this.#rawText = text
    return true
  }

  /** Looks at some volumes again. */
  renewDisks(view: PoolView, volumeIds: Iterable<string>): Outdated {
    const outdated = new Map<string, Shown | undefined>()
    for (const id of volumeIds) {
      const before = this.#disks.get(id)
      if (this.#look(view, id) !== before) outdated.set(id, before)
    }
    return outdated
  }

  /** Looks at every volume again. */
  renewPlaces(view: PoolView): Outdated {
    return this.renewDisks(view, new Set([...this.#disks.keys(), ...view.state.volumesByPool.get(this.poolId)]))
  }

  /** What is to be shown of a volume now; the very same object when nothing of it is new. */
  #look(view: PoolView, id: string): Shown | undefined {
    const before = this.#disks.get(id)
    const volume = view.state.get('volume', id)
    const place = volume === undefined ? undefined : placeOf(view, volume)
    if (volume === undefined || place === undefined) {
      this.#disks.delete(id)
      return undefined
    }
    const { idle, used } = before?.volume === volume ? before : textsOf(view, volume)
    if (before !== undefined && before.idle === idle && samePlace(before.place, place)) {
      before.volume = volume
      return before
    }
    const shown = { volume, place, idle, used }
    this.#disks.set(id, shown)
    return shown
  }

  /** The capacity as a node sees it, as JSON. */
  rawText(view: PoolView, node: Node): string {
    const raw = rawFor(view, this.#raw, node)
    return raw === this.#raw ? this.#rawText : JSON.stringify(raw)
  }

  /** The whole projection for a node, as JSON. */
  projection(node: Node, raw: string, bandwidth: number | undefined): string {
    const disks: string[] = []
    for (const shown of this.#disks.values()) {
      const text = textFor(shown, node)
      if (text !== undefined) disks.push(text)
    }
    const rest = bandwidth === undefined ? '' : `,"bandwidth":${bandwidth}`
    return `{${this.#header},"raw":${raw},"disks":[${disks.join(',')}]${rest}}`
  }

  /** What a node must be told of the volumes that it knows as they were; undefined when nothing. */
  difference(outdated: Outdated, node: Node): { set: string; removed: string } | undefined {
    const set: string[] = []
    const removed: string[] = []
    for (const [id, before] of outdated) {
      const was = textFor(before, node)
      const is = textFor(this.#disks.get(id), node)
      if (was === is) continue
      if (is === undefined) removed.push(id)
      else set.push(is)
    }
    if (set.length === 0 && removed.length === 0) return undefined
    return { set: `[${set.join(',')}]`, removed: JSON.stringify(removed) }
  }
}

function textsOf(view: PoolView, volume: Volume): { idle: string; used: string } {
  const disk = JSON.stringify(diskOf(view, volume)).slice(0, -1)
  return { idle: `${disk},"usedHere":false}`, used: `${disk},"usedHere":true}` }
}

function textFor(shown: Shown | undefined, node: Node): string | undefined {
  if (shown === undefined || !seenFrom(shown.place, node)) return undefined
  return usedFrom(shown.place, node) ? shown.used : shown.idle
}

function samePlace(a: Place, b: Place): boolean {
  if (a.kind === 'everywhere' || b.kind === 'everywhere') return a.kind === b.kind
  return a.used === b.used && a.ids.length === b.ids.length && a.ids.every((id, index) => id === b.ids[index])
}
