/** `POST /api/v1/scheduler` of a master. */

import { randomUUID } from 'node:crypto'
import { type Call, EventStream, parseCall, type Reply, reply } from './http-host.ts'
import { subscribe } from './master-frameworks.ts'
import type { FrameworkRecord, MasterState } from './master-state.ts'
import { schedulerCall } from './scheduler-calls.ts'
import type { FrameworkInfo, Value } from './types.ts'

/** @param principal what the credentials have proven; undefined without credentials */
export function schedulerApi(master: MasterState, call: Call, principal: string | undefined): Reply | undefined {
  const parsed = parseCall(call)
  if ('refused' in parsed) return parsed.refused
  const { json } = parsed
  const streamId = call.request.headers['mesos-stream-id']
  if (typeof json.type !== 'string')
    return reply(400, "Failed to validate scheduler::Call: Expecting 'type' to be present")
  if (json.type === 'SUBSCRIBE') return subscribing(master, call, json, principal)
  const frameworkId = (json.framework_id as Value | undefined)?.value
  if (frameworkId === undefined) {
    return reply(400, "Failed to validate scheduler::Call: Expecting 'framework_id' to be present")
  }
  const framework = master.frameworks.get(frameworkId)
  if (framework === undefined) return reply(400, 'Framework cannot be found')
  const stream = framework.stream
  if (stream === undefined) return reply(403, 'Framework is not subscribed')
  if (typeof streamId !== 'string') {
    return reply(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
  }
  if (streamId !== stream.id) {
    const why = `The stream ID '${streamId}' included in this request didn't match the stream ID currently associated with framework ID '${frameworkId}'`
    return reply(400, why)
  }
  const wrong = schedulerCall(master, framework as FrameworkRecord, json)
  return wrong === undefined ? reply(202) : reply(400, wrong)
}

function subscribing(
  master: MasterState,
  call: Call,
  json: Record<string, unknown>,
  principal: string | undefined,
): Reply | undefined {
  if (call.request.headers['mesos-stream-id'] !== undefined) {
    return reply(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
  }
  const asked = json.subscribe as { framework_info?: FrameworkInfo; suppressed_roles?: string[] } | undefined
  const info = asked?.framework_info
  if (info?.user === undefined || info.name === undefined) {
    return reply(400, 'Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info')
  }
  const frameworkId = (json.framework_id as Value | undefined)?.value
  if (frameworkId !== info.id?.value) return reply(400, "Framework id in the call doesn't match the one in its info")
  if (principal !== undefined && info.principal !== undefined && info.principal !== principal) {
    const why = `Authenticated principal '${principal}' does not match principal '${info.principal}' set in 'FrameworkInfo'`
    return reply(400, why)
  }
  const open = (onGone: () => void) => new EventStream(call.response, randomUUID(), onGone)
  if (frameworkId !== undefined && master.completed.has(frameworkId)) {
    const stream = open(() => {})
    stream.send({ type: 'ERROR', error: { message: 'Framework has been removed' } })
    stream.end()
    return undefined
  }
  const known = principal === undefined ? info : { ...info, principal }
  subscribe(master, known, frameworkId, asked?.suppressed_roles ?? [], open)
  return undefined
}
