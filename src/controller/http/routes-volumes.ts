import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import type { VolumeCommand } from '../../ledger/volumes.ts'
import { HoldfastError } from '../../model/errors.ts'
import { Labels, Name, Rate, Role, SizeMiB } from '../../model/fields.ts'
import { Access, type Volume } from '../../model/volume.ts'
import { findPool } from '../../placement/pools.ts'
import { OPERATE, OWN, OWN_DOORS, READ_ALL, roleFor, type Access as Who } from './caller.ts'
import { ref, slowReply, wrapped } from './components.ts'
import { PRINTABLE_PATTERN } from './describe-schema.ts'
import { findVolume } from './find.ts'
import { page, pageSchema, shownPage } from './lists.ts'
import { bodySchema } from './rest-schema.ts'
import { type Call, ok, type Reply, type Route, route } from './route.ts'
import { showVolume } from './show-volumes.ts'
import { VolumeQuery, volumesFor } from './volume-list.ts'
import { requestsFor, VolumeBody, wishOf } from './volume-wish.ts'
import { answerSlowWork, WAIT_QUERY } from './waits.ts'

const params = Type.Object({ volume: Type.String() })
/** Ten years. */
const MAX_TRASH_S = 10 * 365 * 24 * 60 * 60
const TrashSeconds = Type.Integer({ minimum: 0, maximum: MAX_TRASH_S })

type Anything = Call<unknown, unknown, unknown>
type VolumeCall<B> = Call<{ volume: string }, { wait?: number }, B>

function slow(call: Anything, answer: unknown, wait: number | undefined, done: 200 | 201): Promise<Reply> {
  const record = answer as Volume
  return answerSlowWork<Volume>(call, {
    record,
    wait,
    done,
    noun: 'volume',
    show: (state, volume) => showVolume(state, volume, call.now),
    now: (state) => state.get('volume', record.id),
  })
}

const SLOW = { 202: slowReply('volume', 'Volume'), 200: wrapped('volume', 'Volume') }

/** A route that asks for something to be done with one volume. */
function verb<B extends ReturnType<typeof Type.Object>>(row: {
  method?: 'POST' | 'DELETE'
  name?: string
  access: Who
  summary: string
  description?: string
  body?: B
  mayBeAbsent?: boolean
  query?: ReturnType<typeof Type.Object>
  command: (state: LedgerState, volume: Volume, call: VolumeCall<never>) => VolumeCommand
}): Route {
  const { method = 'POST', name, access, summary, description, body, mayBeAbsent, query, command } = row
  return route({
    method,
    path: name === undefined ? '/v1/volumes/:volume' : `/v1/volumes/:volume/${name}`,
    access,
    tag: 'volumes',
    summary,
    ...(description === undefined ? {} : { description }),
    params,
    query: query ?? Type.Object(WAIT_QUERY),
    ...(body === undefined ? {} : { body }),
    bodyMayBeAbsent: mayBeAbsent === true,
    replies: SLOW,
    async handle(call) {
      const { volume } = call.params as { volume: string }
      const { answer } = await call.submit((state) => {
        return command(state, findVolume(state, call.caller, volume), call as unknown as VolumeCall<never>)
      })
      return slow(call, answer, (call.query as { wait?: number }).wait, 200)
    },
  })
}

const CREATE = route({
  method: 'POST',
  path: '/v1/volumes',
  access: OWN_DOORS,
  tag: 'volumes',
  summary: 'Create a volume',
  description: 'Capacity and IOPS are taken at once; the volume is made afterwards, and can be waited for.',
  query: Type.Object(WAIT_QUERY),
  body: VolumeBody,
  replies: { 202: slowReply('volume', 'Volume'), 201: wrapped('volume', 'Volume') },
  async handle(call) {
    const { answer } = await call.submit((state) => {
      const wish = wishOf(state, call.caller, call.body)
      // a name that is taken is told before there is no place for it; a door gets its first answer again
      if (state.volumeByName.has(wish.name)) return { kind: 'volume.create', volume: { ...wish, poolId: '' } }
      const [volume] = requestsFor(state, call.caller, [call.body], call.api.controller.mesosPrincipal)
      return { kind: 'volume.create', volume: volume as VolumeRequestOf }
    })
    return slow(call, answer, call.query.wait, 201)
  },
})
type VolumeRequestOf = Extract<VolumeCommand, { kind: 'volume.create' }>['volume']

const IMPORT = route({
  method: 'POST',
  path: '/v1/volumes/import',
  access: OPERATE,
  tag: 'volumes',
  summary: 'Adopt an object that is on the storage already',
  description: 'Its size, filesystem and UUID are read; it is never formatted, and protected at first.',
  query: Type.Object(WAIT_QUERY),
  body: bodySchema(
    Type.Object({
      pool: Type.String({ minLength: 1, maxLength: 255 }),
      object: Type.String({ minLength: 1, maxLength: 128, pattern: PRINTABLE_PATTERN }),
      name: Name,
      role: Type.Optional(Role),
      access: Type.Optional(Access),
    }),
  ),
  replies: { 202: slowReply('volume', 'Volume'), 201: wrapped('volume', 'Volume') },
  async handle(call) {
    const { body } = call
    const role = roleFor(call.caller, body.role)
    const { answer } = await call.submit((state) => {
      const pool = findPool(state, body.pool)
      // counted as the inventory saw it, until the node has read it
      const seen = call.api.controller.inventories.get(state, pool.id)?.objects.find(({ name }) => name === body.object)
      const { object, name, access = 'single-writer' } = body
      return {
        kind: 'volume.import',
        poolId: pool.id,
        object,
        name,
        role,
        sizeMiB: Math.max(1, seen?.sizeMiB ?? 1),
        access,
      }
    })
    return slow(call, answer, call.query.wait, 201)
  },
})

export const VOLUME_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/volumes',
    access: READ_ALL,
    tag: 'volumes',
    summary: 'List volumes',
    query: VolumeQuery,
    replies: { 200: pageSchema(ref('Volume')) },
    handle: (call) =>
      call.read((state) => {
        const { records, wanted } = volumesFor(state, call.caller, call.query)
        return ok(shownPage(page(records, call.query, wanted), (volume) => showVolume(state, volume, call.now)))
      }),
  }),
  CREATE,
  IMPORT,
  route({
    method: 'GET',
    path: '/v1/volumes/:volume',
    access: READ_ALL,
    tag: 'volumes',
    summary: 'Show a volume',
    params,
    replies: { 200: ref('Volume') },
    handle: (call) =>
      call.read((state) => ok(showVolume(state, findVolume(state, call.caller, call.params.volume), call.now))),
  }),
  route({
    method: 'PATCH',
    path: '/v1/volumes/:volume',
    access: OWN_DOORS,
    tag: 'volumes',
    summary: 'Change protection, labels, access or bandwidth',
    params,
    body: bodySchema(
      Type.Object(
        {
          protected: Type.Optional(Type.Boolean()),
          labels: Type.Optional(Labels),
          access: Type.Optional(Access),
          bandwidth: Type.Optional(Rate),
        },
        { minProperties: 1 },
      ),
    ),
    replies: { 200: ref('Volume') },
    async handle(call) {
      const { answer } = await call.submit((state) => ({
        kind: 'volume.update',
        volumeId: findVolume(state, call.caller, call.params.volume).id,
        set: call.body,
      }))
      return call.read((state) => ok(showVolume(state, answer as Volume, call.now)))
    },
  }),
  verb({
    name: 'resize',
    access: OWN_DOORS,
    summary: 'Grow a volume',
    body: bodySchema(Type.Object({ sizeMiB: SizeMiB })),
    command: (_state, { id }, call: VolumeCall<{ sizeMiB: number }>) => {
      return { kind: 'volume.resize', volumeId: id, sizeMiB: call.body.sizeMiB }
    },
  }),
  verb({
    name: 'delete',
    access: OWN_DOORS,
    summary: 'Delete a volume, at once or after a time in the trash',
    body: bodySchema(Type.Object({ trashSeconds: Type.Optional(TrashSeconds) })),
    mayBeAbsent: true,
    command: (_state, { id }, call: VolumeCall<{ trashSeconds?: number }>) => {
      return { kind: 'volume.delete', volumeId: id, trashMs: (call.body.trashSeconds ?? 0) * 1000 }
    },
  }),
  verb({
    method: 'DELETE',
    access: OWN_DOORS,
    summary: 'Delete a volume, at once or after `trash` seconds in the trash',
    query: Type.Object({ ...WAIT_QUERY, trash: Type.Optional(TrashSeconds) }),
    command: (_state, { id }, call) => {
      const { trash = 0 } = call.query as { trash?: number }
      return { kind: 'volume.delete', volumeId: id, trashMs: trash * 1000 }
    },
  }),
  verb({
    name: 'undelete',
    access: OWN_DOORS,
    summary: 'Take a volume out of the trash',
    body: bodySchema(Type.Object({ name: Type.Optional(Name) })),
    mayBeAbsent: true,
    command: (_state, { id }, call: VolumeCall<{ name?: string }>) => {
      return { kind: 'volume.undelete', volumeId: id, name: call.body.name }
    },
  }),
  verb({
    name: 'purge',
    access: OWN,
    summary: 'Delete a volume that is in the trash now',
    command: (_state, { id, name, state }) => {
      if (state !== 'trash' && state !== 'deleting') {
        throw new HoldfastError('wrong_state', `volume ${name} is ${state}; only what is in the trash is purged`, {
          state,
        })
      }
      return { kind: 'volume.delete', volumeId: id, trashMs: 0 }
    },
  }),
  verb({
    name: 'release',
    access: OPERATE,
    summary: 'Forget a volume and leave its object on the storage as it is',
    command: (_state, { id }) => ({ kind: 'volume.release', volumeId: id }),
  }),
]
