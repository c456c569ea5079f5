import { Type } from 'typebox'
import { HoldfastError } from '../../model/errors.ts'
import { Envelope, NODE_CALLS, type NodeCall } from '../../model/node-protocol.ts'
import { NODE } from './caller.ts'
import type { JsonSchema } from './describe-schema.ts'
import { NodeLines } from './node-lines.ts'
import { type Call, ok, type Route, route } from './route.ts'

/** An inventory names up to ten thousand objects. */
const INVENTORY_BYTES = 8 * 1024 * 1024

/** The node whose credential was sent. @throws forbidden */
export function nodeOf(call: Call<unknown, unknown, unknown>): string {
  const { nodeId } = call.caller
  if (nodeId === undefined) throw new HoldfastError('forbidden', 'this token belongs to no node')
  return nodeId
}

/** A node may be one minor version ahead: fields that this version does not know are let through. */
function callRoute<K extends NodeCall>(name: K): Route {
  const { body, reply } = NODE_CALLS[name]
  return route({
    method: 'POST',
    path: `/v1/node/${name}`,
    access: NODE,
    tag: 'node protocol',
    summary: `Call of a node: ${name}`,
    body: Type.Object({ envelope: Envelope, body }),
    ...(name === 'inventory' ? { bodyLimit: INVENTORY_BYTES } : {}),
    replies: { 200: reply as unknown as JsonSchema },
    async handle(call) {
      const sent = call.body as { envelope: Envelope; body: never }
      return ok(await call.api.controller.nodes.call(nodeOf(call), name, sent.envelope, sent.body))
    },
  })
}

const STREAM = route({
  method: 'GET',
  path: '/v1/node/stream',
  access: NODE,
  tag: 'node protocol',
  summary: 'What the controller wants of the node: an assignment a line, whenever it changes; an empty line each 5 s',
  query: Type.Object({ session: Type.String({ minLength: 1, maxLength: 64 }) }),
  produces: 'application/x-ndjson',
  replies: { 200: { type: 'string' } },
  async handle(call) {
    const nodeId = nodeOf(call)
    const { sessions } = call.api.controller
    const { closing } = call.api
    const lines = new NodeLines(call.reply.raw)
    const close = () => lines.close()
    call.reply.raw.on('close', () => {
      sessions.disconnect(nodeId, lines)
      closing.removeEventListener('abort', close)
    })
    closing.addEventListener('abort', close)
    try {
      if (!(await sessions.connect(nodeId, call.query.session, lines))) {
        throw new HoldfastError('stale_session', 'this session has ended; say hello again')
      }
    } catch (thrown) {
      sessions.disconnect(nodeId, lines)
      closing.removeEventListener('abort', close)
      lines.close()
      throw thrown
    }
    call.reply.hijack()
    if (closing.aborted) close()
    return undefined
  },
})

export const NODE_PROTOCOL_ROUTES: readonly Route[] = [
  ...(Object.keys(NODE_CALLS) as NodeCall[]).map((name) => callRoute(name)),
  STREAM,
]
