/** `POST /api/v1/resource_provider` of an agent. Nobody is asked who they are. */
import { randomUUID } from 'node:crypto'
import type { ProviderCall, ProviderInfo } from '../../../src/mesos/provider-protocol.ts'
import type { AgentState } from './agent-state.ts'
import { type Call, EventStream, parseCall, type Reply, reply } from './http-host.ts'
import { isUuid } from './ids.ts'

const TYPES = ['SUBSCRIBE', 'UPDATE_STATE', 'UPDATE_OPERATION_STATUS', 'UPDATE_PUBLISH_RESOURCES_STATUS']

type Json = Readonly<Record<string, unknown>>

export function providerApi(agent: AgentState, call: Call): Reply | undefined {
  if (agent.phase === 'recovering' || agent.disk.agentId === undefined) return reply(503)
  const parsed = parseCall(call)
  if ('refused' in parsed) return parsed.refused
  const { json } = parsed
  if (typeof json.type !== 'string' || !TYPES.includes(json.type)) {
    return reply(400, "Failed to validate resource_provider::Call: Expecting 'type' to be present")
  }
  const missing = missingFields(json)
  if (missing !== undefined)
    return reply(400, `Failed to convert JSON into Call protobuf: Missing required fields: ${missing}`)
  if (json.type === 'SUBSCRIBE') return subscribe(agent, call, json)
  const wrong = wrongCall(agent, call, json)
  if (wrong !== undefined) return reply(400, wrong)
  perform(agent, json as unknown as ProviderCall)
  return reply(202)
}

function subscribe(agent: AgentState, call: Call, json: Json): Reply | undefined {
  if (call.request.headers['mesos-stream-id'] !== undefined) {
    return reply(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
  }
  const { resource_provider_info: info } = json.subscribe as { resource_provider_info: ProviderInfo }
  const { id, type, name } = info
  const asked = { ...(id === undefined ? {} : { id: { value: id.value } }), type, name }
  agent.manager.subscribe(asked, (onGone) => new EventStream(call.response, randomUUID(), () => agent.turn(onGone)))
  return undefined
}

/** @returns the path of the first required field that is not there */
function missingFields(json: Json): string | undefined {
  switch (json.type) {
    case 'SUBSCRIBE':
      return firstMissing(json, ['subscribe.resource_provider_info.type', 'subscribe.resource_provider_info.name'])
    case 'UPDATE_STATE':
      return firstMissing(json, ['update_state.resource_version_uuid.value']) ?? missingInState(json)
    case 'UPDATE_OPERATION_STATUS':
      return firstMissing(json, [
        'update_operation_status.status.state',
        'update_operation_status.operation_uuid.value',
      ])
    default:
      return firstMissing(json, [
        'update_publish_resources_status.uuid.value',
        'update_publish_resources_status.status',
      ])
  }
}

function missingInState(json: Json): string | undefined {
  const { resources, operations } = json.update_state as { resources?: unknown[]; operations?: unknown[] }
  for (const [at, resource] of (resources ?? []).entries()) {
    const missing = firstMissing(resource, ['name', 'type'])
    if (missing !== undefined) return `update_state.resources[${at}].${missing}`
  }
  for (const [at, operation] of (operations ?? []).entries()) {
    const missing = firstMissing(operation, ['info', 'latest_status.state', 'uuid.value'])
    if (missing !== undefined) return `update_state.operations[${at}].${missing}`
  }
  return undefined
}

function firstMissing(json: unknown, paths: readonly string[]): string | undefined {
  return paths.find(
    (path) => path.split('.').reduce<unknown>((value, name) => (value as Json | undefined)?.[name], json) === undefined,
  )
}

function wrongCall(agent: AgentState, call: Call, json: Json): string | undefined {
  const id = (json.resource_provider_id as { value?: string } | undefined)?.value
  if (id === undefined)
    return "Failed to validate resource_provider::Call: Expecting 'resource_provider_id' to be present"
  const inconsistent = inconsistentCall(json, id)
  if (inconsistent !== undefined) return `Inconsistent call: ${inconsistent}`
  const current = agent.manager.streamId(id)
  if (current === undefined) return 'Resource provider is not subscribed'
  const given = call.request.headers['mesos-stream-id']
  if (typeof given !== 'string') return "All non-subscribe calls should include to 'Mesos-Stream-Id' header"
  if (given !== current) {
    return `The stream ID '${given}' included in this request didn't match the stream ID currently associated with  resource provider ID ${id}`
  }
  return invalidUuids(json)
}

function inconsistentCall(json: Json, id: string): string | undefined {
  const state = json.update_state as { resources?: { provider_id?: { value?: string } }[] } | undefined
  const foreign = (state?.resources ?? []).some((resource) => resource.provider_id?.value !== id)
  return foreign ? "Inconsistent resource provider ID in 'update_state'" : undefined
}

function invalidUuids(json: Json): string | undefined {
  const state = json.update_state as
    | { resource_version_uuid: { value: string }; operations?: { uuid: { value: string } }[] }
    | undefined
  const status = json.update_operation_status as
    | { operation_uuid: { value: string }; status: { uuid?: { value: string } } }
    | undefined
  const uuids = [
    ...(state === undefined ? [] : [state.resource_version_uuid, ...(state.operations ?? []).map(({ uuid }) => uuid)]),
    ...(status === undefined
      ? []
      : [status.operation_uuid, ...(status.status.uuid === undefined ? [] : [status.status.uuid])]),
  ]
  return uuids.every(({ value }) => isUuid(value))
    ? undefined
    : 'Failed to validate resource_provider::Call: Not a valid UUID'
}

function perform({ manager }: AgentState, call: ProviderCall): void {
  if (call.type === 'UPDATE_STATE') manager.updateState(call)
  else if (call.type === 'UPDATE_OPERATION_STATUS') manager.updateOperationStatus(call)
  else manager.updatePublishStatus(call)
}
