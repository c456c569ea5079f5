import { type Static, Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import { Role } from '../../model/fields.ts'
import { quote } from '../../model/units.ts'
import { type Volume, VolumeState } from '../../model/volume.ts'
import { findPool } from '../../placement/pools.ts'
import { type Caller, mayUse } from './caller.ts'
import { findNode } from './find.ts'
import { PAGE_QUERY } from './lists.ts'

const IdOrName = Type.String({ minLength: 1, maxLength: 255 })

export const VolumeQuery = Type.Object({
  ...PAGE_QUERY,
  pool: Type.Optional(IdOrName),
  role: Type.Optional(Role),
  state: Type.Optional(VolumeState),
  name: Type.Optional(Type.String({ maxLength: 255 })),
  label: Type.Optional(
    Type.Array(Type.String({ maxLength: 400 }), { maxItems: 16, description: '`key=value`; several are all wanted.' }),
  ),
  node: Type.Optional(IdOrName),
  inUse: Type.Optional(Type.Boolean()),
})
export type VolumeQuery = Static<typeof VolumeQuery>

type Test = (volume: Volume) => boolean

/** The volumes that may match, and the test for those that do. @throws not_found, invalid_option */
export function volumesFor(
  state: LedgerState,
  caller: Caller,
  query: VolumeQuery,
): { records: Iterable<Volume>; wanted: Test } {
  const tests: Test[] = []
  const { pool, role, state: wantedState, name, inUse } = query
  const poolId = pool === undefined ? undefined : findPool(state, pool).id
  if (poolId !== undefined) tests.push((volume) => volume.poolId === poolId)
  if (caller.roles !== undefined) tests.push((volume) => mayUse(caller, volume.role))
  if (role !== undefined) tests.push((volume) => volume.role === role)
  if (wantedState !== undefined) tests.push((volume) => volume.state === wantedState)
  if (name !== undefined) tests.push((volume) => volume.name === name)
  if (inUse !== undefined) tests.push((volume) => state.attachmentsByVolume.get(volume.id).size > 0 === inUse)
  for (const [key, value] of (query.label ?? []).map(readLabel)) tests.push((volume) => volume.labels[key] === value)
  return { records: candidates(state, query, poolId), wanted: (volume) => tests.every((test) => test(volume)) }
}

function readLabel(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
  throw new HoldfastError('invalid_option', `query.label: ${quote(text)} is not key=value`)
}

/** What an index gives, where that is much less than everything. */
function candidates(state: LedgerState, { node }: VolumeQuery, poolId: string | undefined): Iterable<Volume> {
  const everything = state.all('volume')
  if (node !== undefined) return onNode(state, findNode(state, node).id)
  if (poolId === undefined) return everything.values()
  const ids = state.volumesByPool.get(poolId)
  return ids.size * 8 < everything.size ? records(state, ids) : everything.values()
}

function* onNode(state: LedgerState, nodeId: string): Generator<Volume> {
  for (const id of state.attachmentsByNode.get(nodeId)) {
    const volume = state.get('volume', state.get('attachment', id)?.volumeId ?? '')
    if (volume !== undefined) yield volume
  }
}

function* records(state: LedgerState, ids: Iterable<string>): Generator<Volume> {
  for (const id of ids) {
    const volume = state.get('volume', id)
    if (volume !== undefined) yield volume
  }
}
