import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import { Labels, Name } from '../../model/fields.ts'
import { quote } from '../../model/units.ts'
import { MAX_GROUP, type Snapshot } from '../../model/volume.ts'
import { type Caller, mayUse, OWN_DOORS, READ_ALL, requireRole } from './caller.ts'
import { ref } from './components.ts'
import { findVolume } from './find.ts'
import { bodySchema } from './rest-schema.ts'
import { type Call, ok, type Reply, type Route, route } from './route.ts'
import { showSnapshotGroup } from './show-volumes.ts'
import { openOperation, throwIfFailed, WAIT_QUERY, waitUntil } from './waits.ts'

const params = Type.Object({ group: Type.String() })
const MAX_NAME = 63

/** Snapshots of several volumes at one moment. */
export const SNAPSHOT_GROUP_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/snapshot-groups',
    access: READ_ALL,
    tag: 'snapshots',
    summary: 'List snapshot groups',
    replies: {
      200: {
        type: 'object',
        required: ['items'],
        properties: { items: { type: 'array', items: ref('SnapshotGroup') } },
      },
    },
    handle: (call) =>
      call.read((state) => {
        const ids = new Set<string>()
        for (const { group, role } of state.all('snapshot').values()) {
          if (group !== undefined && mayUse(call.caller, role)) ids.add(group.id)
        }
        return ok({ items: [...ids].map((id) => showSnapshotGroup(state, membersOf(state, id))) })
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/snapshot-groups',
    access: OWN_DOORS,
    tag: 'snapshots',
    summary: 'Take snapshots of several volumes at one moment, all or none',
    description:
      'Volumes that are in use must be in use on one node, which stops them all together while the snapshots are made. Each is called like the group and its volume, with a dash between.',
    query: Type.Object(WAIT_QUERY),
    body: bodySchema(
      Type.Object({
        name: Name,
        volumes: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { minItems: 1, maxItems: 64 }),
        labels: Type.Optional(Labels),
      }),
    ),
    replies: { 202: ref('SnapshotGroup'), 201: ref('SnapshotGroup') },
    async handle(call) {
      const { name, volumes, labels = {} } = call.body
      if (volumes.length > MAX_GROUP) {
        const text = `body.volumes: ${volumes.length} volumes, at most ${MAX_GROUP} go together`
        throw new HoldfastError('group_too_large', text)
      }
      const { answer } = await call.submit((state) => {
        const found = volumes.map((each) => findVolume(state, call.caller, each))
        if (new Set(found).size < found.length) {
          throw new HoldfastError('invalid_request', 'body.volumes: the same volume is named twice')
        }
        refuseTaken(state, name)
        const members = found.map((volume, index) => ({
          volumeId: volume.id,
          name: memberName(name, volume.name, index),
        }))
        return { kind: 'snapshot.group', name, members, labels }
      })
      return answerMade(call, answer as Snapshot[])
    },
  }),
  route({
    method: 'GET',
    path: '/v1/snapshot-groups/:group',
    access: READ_ALL,
    tag: 'snapshots',
    summary: 'Show a snapshot group',
    params,
    replies: { 200: ref('SnapshotGroup') },
    handle: (call) =>
      call.read((state) => ok(showSnapshotGroup(state, findMembers(state, call.caller, call.params.group)))),
  }),
  route({
    method: 'DELETE',
    path: '/v1/snapshot-groups/:group',
    access: OWN_DOORS,
    tag: 'snapshots',
    summary: 'Delete all snapshots of a group',
    params,
    replies: { 202: ref('SnapshotGroup') },
    async handle(call) {
      const { answer } = await call.submit((state) => ({
        kind: 'snapshot.delete-group',
        groupId: findMembers(state, call.caller, call.params.group)[0]?.group?.id ?? '',
      }))
      const members = answer as Snapshot[]
      return call.read((state) => ({
        status: 202,
        body: showSnapshotGroup(
          state,
          members.map((each) => state.get('snapshot', each.id) ?? { ...each, state: 'deleting' }),
        ),
      }))
    },
  }),
]

/** The members' names are unique, so the group's is: but it is the group that the caller has named. @throws name_taken */
function refuseTaken(state: LedgerState, name: string): void {
  for (const { group } of state.all('snapshot').values()) {
    if (group?.name === name)
      throw new HoldfastError('name_taken', `snapshot group ${name} exists already`, { group: group.id })
  }
}

function memberName(group: string, volume: string, index: number): string {
  const whole = `${group}-${volume}`
  return whole.length <= MAX_NAME ? whole : `${group.slice(0, MAX_NAME - 4)}-${index + 1}`
}

function membersOf(state: LedgerState, idOrName: string): Snapshot[] {
  const all = [...state.all('snapshot').values()]
  const byId = all.filter(({ group }) => group?.id === idOrName)
  return byId.length > 0 ? byId : all.filter(({ group }) => group?.name === idOrName)
}

/** @throws not_found, role_not_allowed */
function findMembers(state: LedgerState, caller: Caller, idOrName: string): Snapshot[] {
  const members = membersOf(state, idOrName)
  if (members.length === 0) throw new HoldfastError('not_found', `no such snapshot group ${quote(idOrName)}`)
  for (const { role } of members) requireRole(caller, role, `snapshot group ${quote(idOrName)}`)
  return members
}

/** 201 when all were made in the time that the caller waits; @throws the fault of the first that could not be */
async function answerMade(call: Call<unknown, { wait?: number }, unknown>, made: readonly Snapshot[]): Promise<Reply> {
  const { wait = 0 } = call.query
  const now = (state: LedgerState) => made.map((each) => state.get('snapshot', each.id) ?? each)
  const work = await call.read((state) => made.map(({ id }) => openOperation(state, id)?.id))
  const ended = await waitUntil(call, wait, (state) => {
    if (wait === 0 || made.some(({ id }) => openOperation(state, id) !== undefined)) return undefined
    const operations = work.flatMap((id) => (id === undefined ? [] : (state.get('operation', id) ?? [])))
    return { operations, body: showSnapshotGroup(state, now(state)) }
  })
  if (ended === undefined) return call.read((state) => ({ status: 202, body: showSnapshotGroup(state, now(state)) }))
  // one fails, and the others because of it
  const failed =
    ended.operations.find(({ state, fault }) => state === 'failed' && fault?.code !== 'interrupted') ??
    ended.operations.find(({ state }) => state !== 'succeeded')
  throwIfFailed(failed, undefined, { group: ended.body })
  return { status: 201, body: ended.body }
}
