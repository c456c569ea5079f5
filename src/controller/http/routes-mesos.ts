import type { LedgerState } from '../../ledger/state.ts'
import { requiredAcls } from '../../mesos/acls.ts'
import { READ } from './caller.ts'
import { ref } from './components.ts'
import { ok, type Route, route } from './route.ts'
import { showMesos } from './show-mesos.ts'

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
      const shown = await call.read((state) => showMesos(state, controller))
      return ok({ ...shown, masters: mesos?.masters() ?? [], hazards: mesos?.hazards() ?? [] })
    },
  }),
  route({
    method: 'GET',
    path: '/v1/mesos/acls',
    access: READ,
    tag: 'mesos',
    summary: "What the masters' --acls must forbid, for the pools as they are now",
    replies: { 200: { type: 'object', additionalProperties: true } },
    handle: (call) => call.read((state) => ok(aclsFor(state, call.api.controller.mesosPrincipal))),
  }),
]

/** Where frameworks reserve for themselves they must be let; where disks do not float they make their own volumes. */
function aclsFor(state: LedgerState, principal: string): unknown {
  const roles = new Set<string>()
  const creating = new Set<string>()
  for (const { mesos } of state.all('pool').values()) {
    if (mesos === undefined || mesos.unreserved) continue
    for (const role of mesos.roles) {
      roles.add(role)
      if (!mesos.float) creating.add(role)
    }
  }
  return requiredAcls({ principal, roles: [...roles], createAllowedRoles: [...creating] })
}
