import { Type } from 'typebox'
import { Labels, Name } from '../../model/fields.ts'
import type { Snapshot } from '../../model/volume.ts'
import { mayUse, OWN_DOORS, READ_ALL } from './caller.ts'
import { ref, slowReply, wrapped } from './components.ts'
import { findSnapshot, findVolume } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema } from './rest-schema.ts'
import { ok, type Route, route } from './route.ts'
import { showSnapshot } from './show-volumes.ts'
import { answerSlowWork, WAIT_QUERY } from './waits.ts'

const params = Type.Object({ snapshot: Type.String() })

export const SNAPSHOT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/snapshots',
    access: READ_ALL,
    tag: 'snapshots',
    summary: 'List snapshots',
    query: Type.Object({ ...PAGE_QUERY, volume: Type.Optional(Type.String({ maxLength: 255 })) }),
    replies: { 200: pageSchema(ref('Snapshot')) },
    handle: (call) =>
      call.read((state) => {
        const { volume } = call.query
        // a snapshot outlives its volume: an id that is gone still names its snapshots
        const volumeId = volume === undefined ? undefined : (state.volumeByName.get(volume) ?? volume)
        const wanted = (snapshot: Snapshot) =>
          (volumeId === undefined || snapshot.volumeId === volumeId) && mayUse(call.caller, snapshot.role)
        const found = page(state.all('snapshot').values(), call.query, wanted)
        return ok(shownPage(found, (snapshot) => showSnapshot(state, snapshot)))
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/snapshots',
    access: OWN_DOORS,
    tag: 'snapshots',
    summary: 'Take a snapshot of a volume',
    query: Type.Object(WAIT_QUERY),
    body: bodySchema(
      Type.Object({
        volume: Type.String({ minLength: 1, maxLength: 255 }),
        name: Name,
        labels: Type.Optional(Labels),
      }),
    ),
    replies: { 202: slowReply('snapshot', 'Snapshot'), 201: wrapped('snapshot', 'Snapshot') },
    async handle(call) {
      const { volume, name, labels = {} } = call.body
      const { answer } = await call.submit((state) => {
        return { kind: 'snapshot.create', volumeId: findVolume(state, call.caller, volume).id, name, labels }
      })
      const record = answer as Snapshot
      const now = (state: Parameters<typeof showSnapshot>[0]) => state.get('snapshot', record.id)
      return answerSlowWork(call, {
        record,
        wait: call.query.wait,
        done: 201,
        noun: 'snapshot',
        show: showSnapshot,
        now,
      })
    },
  }),
  route({
    method: 'GET',
    path: '/v1/snapshots/:snapshot',
    access: READ_ALL,
    tag: 'snapshots',
    summary: 'Show a snapshot',
    params,
    replies: { 200: ref('Snapshot') },
    handle: (call) =>
      call.read((state) => ok(showSnapshot(state, findSnapshot(state, call.caller, call.params.snapshot)))),
  }),
  route({
    method: 'DELETE',
    path: '/v1/snapshots/:snapshot',
    access: OWN_DOORS,
    tag: 'snapshots',
    summary: 'Delete a snapshot',
    params,
    query: Type.Object(WAIT_QUERY),
    replies: { 202: slowReply('snapshot', 'Snapshot'), 200: wrapped('snapshot', 'Snapshot') },
    async handle(call) {
      const { answer } = await call.submit((state) => {
        return { kind: 'snapshot.delete', snapshotId: findSnapshot(state, call.caller, call.params.snapshot).id }
      })
      const record = answer as Snapshot
      const now = (state: Parameters<typeof showSnapshot>[0]) => state.get('snapshot', record.id)
      return answerSlowWork(call, {
        record,
        wait: call.query.wait,
        done: 200,
        noun: 'snapshot',
        show: showSnapshot,
        now,
      })
    },
  }),
]
