import type { LedgerState } from '../ledger/state.ts'
import type { Clock } from '../model/clock.ts'
import { handleId } from '../model/fields.ts'
import { isOwnObject } from '../model/ids.ts'
import type { CallBody, InventoryObject } from '../model/node-protocol.ts'
import type { Engine } from './engine.ts'

/** What an object on the storage is to the ledger. */
export type ObjectStatus =
  /** Belongs to a volume or snapshot. */
  | 'known'
  /** Made by this installation, and in no record. */
  | 'orphan'
  /** Made by somebody else: can be imported. */
  | 'foreign'

export interface InventoryEntry extends InventoryObject {
  readonly status: ObjectStatus
  /** Id of the volume or snapshot it belongs to. */
  readonly owner: string | undefined
}

export interface Inventory {
  readonly at: number
  readonly nodeId: string
  readonly objects: InventoryEntry[]
  /** Volumes and snapshots whose object was not found. */
  readonly missing: string[]
}

interface Pass {
  readonly at: number
  readonly nodeId: string
  readonly objects: readonly InventoryObject[]
}

/** What tells an object that was found: its name, or the storage's own id. */
interface Found {
  readonly names: ReadonlySet<string>
  readonly ids: ReadonlySet<string>
}

/**
 * What was really found on each pool (invariant I6). It is compared with the ledger and reported; nothing is deleted.
 * A volume counts as missing when two passes in a row have not found its object, the first of them begun after the
 * volume was there.
 */
export class Inventories {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #passes = new Map<string, Pass>()
  readonly #suspects = new Map<string, Set<string>>()

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine
    this.#clock = clock
  }

  async take(nodeId: string, body: CallBody<'inventory'>): Promise<void> {
    const found = foundIn(body.objects)
    const pass = { at: this.#clock.now(), nodeId, objects: body.objects }
    this.#passes.set(body.poolId, pass)
    if (!body.complete) return
    const { missing, again } = await this.#engine.read((state) => this.#compare(state, body.poolId, found))
    const actor = `node ${nodeId}`
    for (const volumeId of missing) await this.#tell(actor, { kind: 'volume.missing', volumeId })
    for (const volumeId of again) await this.#tell(actor, { kind: 'volume.found', volumeId })
  }

  async #tell(actor: string, command: { kind: 'volume.missing' | 'volume.found'; volumeId: string }): Promise<void> {
    // the volume may have gone, or begun to be deleted, since the pass: then there is nothing to tell
    await this.#engine.submit({ actor, command }).catch(() => undefined)
  }

  #compare(state: LedgerState, poolId: string, objects: Found) {
    const before = this.#suspects.get(poolId) ?? new Set()
    const suspects = new Set<string>()
    const missing: string[] = []
    const again: string[] = []
    for (const id of state.snapshotsByPool.get(poolId)) {
      const snapshot = state.get('snapshot', id)
      if (snapshot?.state === 'available' && !isAmong(objects, snapshot)) suspects.add(id)
    }
    for (const id of state.volumesByPool.get(poolId)) {
      const volume = state.get('volume', id)
      if (volume === undefined) continue
      const there = isAmong(objects, volume)
      if (volume.state === 'missing' && there) again.push(id)
      if (volume.state !== 'available' || there) continue
      if (before.has(id)) missing.push(id)
      else suspects.add(id)
    }
    this.#suspects.set(poolId, suspects)
    return { missing, again }
  }

  /** The newest pass over a pool, compared with the ledger as it is now; undefined when there was none yet. */
  get(state: LedgerState, poolId: string): Inventory | undefined {
    const pass = this.#passes.get(poolId)
    if (pass === undefined) return undefined
    const byId = ownersById(state, poolId)
    const objects = pass.objects.map((object) => {
      const byHandle = object.handle === undefined ? undefined : byId.get(handleId(object.handle))
      const owner = state.ownerOfObject.get(`${poolId}/${object.name}`) ?? byHandle
      const own = isOwnObject(state.installation, object.name)
      const status: ObjectStatus = owner !== undefined ? 'known' : own ? 'orphan' : 'foreign'
      return { ...object, status, owner }
    })
    const missing = [...(this.#suspects.get(poolId) ?? [])].filter((id) => isExpected(state, id))
    for (const id of state.volumesByPool.get(poolId)) if (state.get('volume', id)?.state === 'missing') missing.push(id)
    return { at: pass.at, nodeId: pass.nodeId, objects, missing }
  }
}

function foundIn(objects: readonly InventoryObject[]): Found {
  return {
    names: new Set(objects.map((object) => object.name)),
    ids: new Set(objects.flatMap(({ handle }) => (handle === undefined ? [] : [handleId(handle)]))),
  }
}

function isAmong({ names, ids }: Found, { object, handle }: { object: string; handle?: string }): boolean {
  return names.has(object) || (handle !== undefined && ids.has(handleId(handle)))
}

/** Volumes and snapshots of a pool by the storage's own id, where it has one. */
function ownersById(state: LedgerState, poolId: string): Map<string, string> {
  const owners = new Map<string, string>()
  const note = (id: string, handle: string | undefined) => {
    if (handle !== undefined) owners.set(handleId(handle), id)
  }
  for (const id of state.volumesByPool.get(poolId)) note(id, state.get('volume', id)?.handle)
  for (const id of state.snapshotsByPool.get(poolId)) note(id, state.get('snapshot', id)?.handle)
  return owners
}

/** What has gone since, or is known to be missing already, is not expected any more. */
function isExpected(state: LedgerState, id: string): boolean {
  return state.get('volume', id)?.state === 'available' || state.get('snapshot', id)?.state === 'available'
}
