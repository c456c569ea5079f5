import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { AmountMiB, Rate } from '../../model/fields.ts'
import { type Provider as ProviderRecord, Reservations } from '../../model/mesos.ts'
import { findPool } from '../../placement/pools.ts'
import { ProviderReport } from '../mesos/provider-reports.ts'
import { NODE } from './caller.ts'
import { ref } from './components.ts'
import type { JsonSchema } from './describe-schema.ts'
import { MESOS_COMMANDS, OperationUuid, operationKey, operationKeyId, providerActor } from './mesos-calls.ts'
import { MesosLines } from './mesos-lines.ts'
import { type Call, ok, type Route, route } from './route.ts'
import { nodeOf } from './routes-node.ts'
import { showProvider } from './show-mesos.ts'

const params = Type.Object({ pool: Type.String({ description: 'Id or name.' }) })
const MesosId = Type.String({ minLength: 1, maxLength: 255 })
const REPORT_BYTES = 64 * 1024
const Nothing: JsonSchema = { type: 'object', properties: {}, additionalProperties: false }

type AnyCall = Call<unknown, unknown, unknown>

function shown(call: AnyCall, answer: unknown) {
  const { api } = call
  return call.read((state: LedgerState) => ok(showProvider(state, api.controller, answer as ProviderRecord)))
}

const STREAM = route({
  method: 'GET',
  path: '/v1/mesos/stream',
  access: NODE,
  tag: 'mesos provider',
  summary: "What the node's agent is to say of its pools: a line for each thing that is new; an empty line each 5 s",
  produces: 'application/x-ndjson',
  replies: { 200: { type: 'string' } },
  async handle(call) {
    const nodeId = nodeOf(call)
    const { providers } = call.api.controller
    const { closing } = call.api
    const lines = new MesosLines(call.reply.raw, () => providers.drained(nodeId))
    const close = () => lines.close()
    const forget = () => {
      providers.disconnect(nodeId, lines)
      closing.removeEventListener('abort', close)
    }
    call.reply.raw.on('close', forget)
    closing.addEventListener('abort', close)
    try {
      await providers.connect(nodeId, lines)
    } catch (thrown) {
      forget()
      lines.close()
      throw thrown
    }
    call.reply.hijack()
    lines.begin()
    if (closing.aborted) close()
    return undefined
  },
})

export const MESOS_PROVIDER_ROUTES: readonly Route[] = [
  STREAM,
  route({
    method: 'PUT',
    path: '/v1/mesos/providers/:pool',
    access: NODE,
    tag: 'mesos provider',
    summary: 'Keep the id that an agent gave to the provider of a pool',
    params,
    body: Type.Object({ agentId: MesosId, providerId: MesosId }),
    replies: { 200: ref('Provider') },
    async handle(call) {
      const nodeId = nodeOf(call)
      const { agentId, providerId } = call.body
      const { answer } = await call.submit((state) => {
        return { kind: 'provider.set', nodeId, poolId: findPool(state, call.params.pool).id, agentId, providerId }
      }, providerActor(call))
      return shown(call, answer)
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/mesos/providers/:pool',
    access: NODE,
    tag: 'mesos provider',
    summary: 'Forget the provider of a pool: its agent has taken it down for good',
    params,
    replies: { 200: Nothing },
    async handle(call) {
      const nodeId = nodeOf(call)
      await call.submit((state) => {
        return { kind: 'provider.forget', nodeId, poolId: findPool(state, call.params.pool).id }
      }, providerActor(call))
      return ok({})
    },
  }),
  route({
    method: 'POST',
    path: '/v1/mesos/providers/:pool/reserved',
    access: NODE,
    tag: 'mesos provider',
    summary: 'Record that Mesos moved capacity from one stack of reservations to another',
    description: 'An empty stack is what is not reserved. It has happened already, so it is not refused.',
    params,
    body: Type.Object({
      operation: OperationUuid.properties.operation,
      from: Reservations,
      to: Reservations,
      sizeMiB: AmountMiB,
    }),
    replies: { 200: ref('Provider') },
    async handle(call) {
      const nodeId = nodeOf(call)
      const { operation, ...move } = call.body
      const key = operationKey(call, 'reserve', operation)
      const { answer } = await call.submit(
        (state) => ({ kind: 'provider.reserve', nodeId, poolId: findPool(state, call.params.pool).id, ...move }),
        providerActor(call),
        key,
      )
      return shown(call, answer)
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/mesos/providers/:pool/bandwidth',
    access: NODE,
    tag: 'mesos provider',
    summary: "What the tasks of the node's agent take of its storage bandwidth, in the node's unit",
    params,
    body: Type.Object({ bandwidth: Rate }),
    replies: { 200: ref('Provider') },
    async handle(call) {
      const nodeId = nodeOf(call)
      const { bandwidth } = call.body
      const { answer } = await call.submit((state) => {
        return { kind: 'provider.bandwidth', nodeId, poolId: findPool(state, call.params.pool).id, bandwidth }
      }, providerActor(call))
      return shown(call, answer)
    },
  }),
  route({
    method: 'POST',
    path: '/v1/mesos/operations/:operation/acknowledged',
    access: NODE,
    tag: 'mesos provider',
    summary: 'Mesos knows how an operation ended: nobody will ask for it again',
    params: OperationUuid,
    replies: { 200: Nothing },
    async handle(call) {
      const nodeId = nodeOf(call)
      const ids = MESOS_COMMANDS.map((command) => operationKeyId(nodeId, command, call.params.operation))
      await call.submit({ kind: 'keys.forget', ids }, providerActor(call))
      return ok({})
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/mesos/report',
    access: NODE,
    tag: 'mesos provider',
    summary: "How the node's provider process is; for people, kept until the next one",
    body: ProviderReport,
    bodyLimit: REPORT_BYTES,
    replies: { 200: Nothing },
    async handle(call) {
      call.api.controller.providerReports.set(nodeOf(call), call.body, call.now)
      return ok({})
    },
  }),
]
