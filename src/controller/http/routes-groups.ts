import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'

import { HoldfastError } from '../../model/errors.ts'
import { Name } from '../../model/fields.ts'
import { Group, MAX_GROUP, type Volume } from '../../model/volume.ts'
import { type Caller, mayUse, OWN, READ_OWNED } from './caller.ts'
import { ref } from './components.ts'
import { find } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema } from './rest-schema.ts'
import { accepted, ok, type Route, route } from './route.ts'
import { showGroup, showVolume } from './show-volumes.ts'
import { requestsFor, VolumeBody } from './volume-wish.ts'

const NewGroup = bodySchema(
  Type.Object({
    name: Type.Optional(Name),
    onFailure: Type.Optional(Group.properties.onFailure),
    volumes: Type.Array(VolumeBody, { minItems: 1, maxItems: 64 }),
  }),
)

export const GROUP_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/groups',
    access: READ_OWNED,
    tag: 'groups',
    summary: 'List groups',
    query: Type.Object(PAGE_QUERY),
    replies: { 200: pageSchema(ref('Group')) },
    handle: (call) =>
      call.read((state) => {
        const wanted = (group: Group) => sees(state, call.caller, group)
        return ok(shownPage(page(state.all('group').values(), call.query, wanted), (group) => showGroup(state, group)))
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/groups',
    access: OWN,
    tag: 'groups',
    summary: 'Create volumes together, all or none',
    body: NewGroup,
    replies: {
      202: {
        type: 'object',
        required: ['group', 'volumes'],
        properties: { group: ref('Group'), volumes: { type: 'array', items: ref('Volume') } },
        additionalProperties: false,
      },
    },
    async handle(call) {
      const { name, onFailure = 'rollback', volumes } = call.body
      if (volumes.length > MAX_GROUP) {
        throw new HoldfastError(
          'group_too_large',
          `body.volumes: ${volumes.length} volumes, at most ${MAX_GROUP} go together`,
        )
      }
      const { answer } = await call.submit((state) => {
        const requests = requestsFor(state, call.caller, volumes, call.api.controller.mesosPrincipal)
        return { kind: 'group.create', name, onFailure, volumes: requests }
      })
      const made = answer as { group: Group; volumes: Volume[] }
      return call.read((state) =>
        accepted({
          group: showGroup(state, made.group),
          volumes: made.volumes.map((volume) => showVolume(state, volume, call.now)),
        }),
      )
    },
  }),
  route({
    method: 'GET',
    path: '/v1/groups/:group',
    access: READ_OWNED,
    tag: 'groups',
    summary: 'Show a group',
    params: Type.Object({ group: Type.String() }),
    replies: { 200: ref('Group') },
    handle: (call) =>
      call.read((state) => {
        const group = find(state, 'group', call.params.group)
        if (!sees(state, call.caller, group)) {
          throw new HoldfastError('role_not_allowed', `group ${group.id} belongs to other roles`)
        }
        return ok(showGroup(state, group))
      }),
  }),
]

/** A group is seen by who may see all of its volumes that are left, and at least one. */
function sees(state: LedgerState, caller: Caller, group: Group): boolean {
  if (caller.roles === undefined) return true
  const members = group.volumeIds.map((id) => state.get('volume', id)).filter((each) => each !== undefined)
  return members.length > 0 && members.every((volume) => mayUse(caller, volume.role))
}
