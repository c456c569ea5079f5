import { Type } from 'typebox'
import { checkRole } from '../../model/names.ts'
import { neededAcls } from '../mesos/needed-acls.ts'
import { READ } from './caller.ts'
import { ref } from './components.ts'
import { ok, type Route, route } from './route.ts'
import { showCluster } from './show-cluster.ts'
import { ledgerHazards, showMesos } from './show-mesos.ts'

export const MESOS_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/mesos',
    access: READ,
    tag: 'mesos',
    summary: 'How Mesos is: the guard, the masters, the pools that it is shown, their providers, and what may hurt',
    replies: { 200: ref('Mesos') },
    async handle(call) {
      const { controller, mesos } = call.api
      await mesos?.refresh()
      const cluster = mesos?.cluster()
      return call.read((state) =>
        ok({
          ...showMesos(state, controller),
          masters: mesos?.masters() ?? [],
          hazards: [...ledgerHazards(state, controller, mesos), ...(mesos?.hazards() ?? [])],
          ...(cluster === undefined ? {} : { cluster: showCluster(state, cluster) }),
        }),
      )
    },
  }),
  route({
    method: 'GET',
    path: '/v1/mesos/acls',
    access: READ,
    tag: 'mesos',
    summary: "What the masters' --acls must forbid, for the pools as they are now",
    description: 'A role is best forbidden before a pool is shown to it.',
    query: Type.Object({ roles: Type.Optional(Type.String({ description: 'More roles, with commas between.' })) }),
    replies: { 200: { type: 'object', additionalProperties: true } },
    handle(call) {
      const more = (call.query.roles ?? '').split(',').filter((role) => role !== '')
      const { mesosPrincipal } = call.api.controller
      return call.read((state) => ok(neededAcls(state, mesosPrincipal, more.map(checkRole)).required))
    },
  }),
]
