import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import type { Hold } from '../../model/hold.ts'
import type { Node } from '../../model/node.ts'
import type { RecordKind, RecordTypes } from '../../model/records.ts'
import { quote } from '../../model/units.ts'
import type { Snapshot, Volume } from '../../model/volume.ts'
import { type Caller, requireRole } from './caller.ts'

/** An id comes before a name, so that nobody can take another's place by choosing its id as a name. */
function byIdOrName<K extends RecordKind>(
  state: LedgerState,
  kind: K,
  names: ReadonlyMap<string, string>,
  idOrName: string,
): RecordTypes[K] {
  const record = state.get(kind, idOrName) ?? state.get(kind, names.get(idOrName) ?? '')
  if (record === undefined) throw noSuch(kind, idOrName)
  return record
}

function noSuch(kind: string, idOrName: string): HoldfastError {
  return new HoldfastError('not_found', `no such ${kind} ${quote(idOrName)}`, { kind, id: idOrName.slice(0, 255) })
}

/** @throws not_found */
export function find<K extends RecordKind>(state: LedgerState, kind: K, id: string): RecordTypes[K] {
  const record = state.get(kind, id)
  if (record === undefined) throw noSuch(kind, id)
  return record
}

/** @throws not_found */
export function findNode(state: LedgerState, idOrName: string): Node {
  return byIdOrName(state, 'node', state.nodeByName, idOrName)
}

/** @throws not_found, role_not_allowed */
export function findVolume(state: LedgerState, caller: Caller, idOrName: string): Volume {
  const volume = byIdOrName(state, 'volume', state.volumeByName, idOrName)
  requireRole(caller, volume.role, `volume ${quote(idOrName)}`)
  return volume
}

/** @throws not_found, role_not_allowed */
export function findSnapshot(state: LedgerState, caller: Caller, idOrName: string): Snapshot {
  const snapshot = byIdOrName(state, 'snapshot', state.snapshotByName, idOrName)
  requireRole(caller, snapshot.role, `snapshot ${quote(idOrName)}`)
  return snapshot
}

/** @throws not_found, role_not_allowed */
export function findHold(state: LedgerState, caller: Caller, id: string): Hold {
  const hold = find(state, 'hold', id)
  requireRole(caller, hold.role, `hold ${quote(id)}`)
  return hold
}
