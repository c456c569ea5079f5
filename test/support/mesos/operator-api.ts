/** `POST /api/v1` of a master, and the older endpoints. */
import { randomUUID } from 'node:crypto'
import { metrics, rolesEndpoint, stateEndpoint } from './endpoints.ts'
import { flagsOf } from './flags-view.ts'
import { type Call, EventStream, parseCall, type Reply, reply } from './http-host.ts'
import type { MasterState } from './master-state.ts'
import { getState, view } from './operator-views.ts'
import { change } from './operator-writes.ts'

export function operatorApi(master: MasterState, call: Call, principal: string | undefined): Reply | undefined {
  const parsed = parseCall(call)
  if ('refused' in parsed) return parsed.refused
  const { json } = parsed
  if (typeof json.type !== 'string')
    return reply(400, "Failed to validate master::Call: Expecting 'type' to be present")
  if (json.type === 'SUBSCRIBE') {
    subscribe(master, call)
    return undefined
  }
  const shown = view(master, json.type)
  if (shown !== undefined) return reply(200, shown)
  const changed = change(master, json, principal)
  return changed ?? reply(400, "Failed to validate master::Call: Expecting 'type' to be present")
}

function subscribe(master: MasterState, call: Call): void {
  const heartbeat = setInterval(() => stream.send({ type: 'HEARTBEAT' }), 15_000)
  const stream = new EventStream(call.response, randomUUID(), () => {
    clearInterval(heartbeat)
    master.subscribers.delete(stream)
  })
  call.response.on('close', () => clearInterval(heartbeat))
  master.subscribers.add(stream)
  stream.send({ type: 'SUBSCRIBED', subscribed: { get_state: getState(master), heartbeat_interval_seconds: 15 } })
  stream.send({ type: 'HEARTBEAT' })
}

const ENDPOINTS: Readonly<Record<string, (master: MasterState) => object>> = {
  '/state': stateEndpoint,
  '/roles': rolesEndpoint,
  '/metrics/snapshot': metrics,
  '/flags': (master) => ({ flags: flagsOf(master) }),
  '/health': () => ({}),
}

/** @returns undefined when the answer is given already */
export function endpoint(master: MasterState, call: Call): Reply | undefined {
  const path = (call.path.split('?')[0] ?? '').replace(/^\/master/, '').replace(/(.)\/$/, '$1')
  if (path === '/redirect') {
    call.response.writeHead(307, { Location: `//127.0.0.1:${master.port}`, 'Content-Length': 0 }).end()
    return undefined
  }
  const make = ENDPOINTS[path]
  return make === undefined ? reply(404) : reply(200, make(master))
}
