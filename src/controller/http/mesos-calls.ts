import { type Static, Type } from 'typebox'
import { UNTIL_FORGOTTEN } from '../../ledger/clock.ts'
import type { Key } from '../../ledger/decide.ts'
import { Uuid } from '../../model/fields.ts'
import { digest, fingerprint } from '../../runtime/secrets.ts'
import type { Provider } from '../mesos/disks.ts'
import type { Call } from './route.ts'
import { nodeOf } from './routes-node.ts'

/** What a provider asks for because of an operation of Mesos, each at most once for one operation. */
export const MESOS_COMMANDS = ['create', 'destroy', 'record', 'reserve'] as const
export type MesosCommand = (typeof MESOS_COMMANDS)[number]

/** The UUID of an operation of Mesos, under which a call is repeated until it is answered. */
export const OperationUuid = Type.Object({ operation: Uuid })
export type OperationUuid = Static<typeof OperationUuid>

type AnyCall = Call<unknown, unknown, unknown>

/** The provider that calls, which speaks for its node. @throws forbidden */
export function providerOf(call: AnyCall): Provider {
  return { nodeId: nodeOf(call), principal: call.api.controller.mesosPrincipal }
}

/** The key of one call for an operation (invariant I7): kept until the operation is acknowledged. */
export function operationKey(call: AnyCall, command: MesosCommand, operation: string): Key {
  return {
    id: operationKeyId(nodeOf(call), command, operation),
    fingerprint: fingerprint({ params: call.params, query: call.query, body: call.body ?? {} }),
    expiresAt: UNTIL_FORGOTTEN,
  }
}

export function operationKeyId(nodeId: string, command: MesosCommand, operation: string): string {
  return digest(JSON.stringify(['mesos', nodeId, command, operation]))
}

/** Who asks, for the history. */
export function providerActor(call: AnyCall): string {
  return `${call.caller.principal} via mesos`
}
