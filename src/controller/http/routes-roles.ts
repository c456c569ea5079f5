import { Type } from 'typebox'
import { checkRole } from '../../model/names.ts'
import { Quota } from '../../model/role.ts'
import { OPERATE, READ, READ_DOORS } from './caller.ts'
import { ref } from './components.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema } from './rest-schema.ts'
import { type Call, ok, type Reply, type Route, route } from './route.ts'
import { heldByRole, knownRoles, showRole } from './show-roles.ts'

const params = Type.Object({
  role: Type.String({ description: 'With every "/" written as %2F.' }),
})

function showOne(call: Call<unknown, unknown, unknown>, role: string): Promise<Reply> {
  return call.read((state) => ok(showRole(state, role, heldByRole(state))))
}

export const ROLE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/roles',
    access: READ,
    tag: 'roles',
    summary: 'List roles that have a quota or use anything, by name',
    query: Type.Object(PAGE_QUERY),
    replies: { 200: pageSchema(ref('Role')) },
    handle: (call) =>
      call.read((state) => {
        const held = heldByRole(state)
        const roles = [...knownRoles(state)].map((id) => ({ id }))
        return ok(shownPage(page(roles, call.query), ({ id }) => showRole(state, id, held)))
      }),
  }),
  route({
    method: 'GET',
    path: '/v1/roles/:role',
    access: READ_DOORS,
    tag: 'roles',
    summary: 'Show a role; one that nobody has heard of uses nothing',
    params,
    replies: { 200: ref('Role') },
    handle: async (call) => showOne(call, checkRole(call.params.role)),
  }),
  route({
    method: 'PUT',
    path: '/v1/roles/:role',
    access: OPERATE,
    tag: 'roles',
    summary: 'Set the quota of a role',
    description: 'What is absent is not limited. A quota below what is used puts the role into deficit.',
    params,
    body: bodySchema(Type.Object({ quota: Quota })),
    replies: { 200: ref('Role') },
    async handle(call) {
      const role = checkRole(call.params.role)
      await call.submit({ kind: 'role.set', role, quota: call.body.quota })
      return showOne(call, role)
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/roles/:role',
    access: OPERATE,
    tag: 'roles',
    summary: 'Take the quota of a role away; what it owns stays',
    params,
    replies: { 200: ref('Role') },
    async handle(call) {
      const role = checkRole(call.params.role)
      await call.submit({ kind: 'role.delete', role })
      return showOne(call, role)
    },
  }),
]
