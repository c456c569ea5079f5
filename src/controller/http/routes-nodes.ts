import { Type } from 'typebox'
import type { NodeUpdate } from '../../ledger/nodes.ts'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import { Labels, Name, Rate } from '../../model/fields.ts'
import { Node } from '../../model/node.ts'
import { OPERATE, READ, READ_DOORS, requireAccess } from './caller.ts'
import { ref } from './components.ts'
import { findNode } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema } from './rest-schema.ts'
import { type Call, created, ok, type Route, route } from './route.ts'
import { showNode } from './show-nodes.ts'

const params = Type.Object({ node: Type.String() })

const NodeChanges = bodySchema(
  Type.Object(
    {
      labels: Type.Optional(Labels),
      attachmentLimit: Type.Optional(Node.properties.attachmentLimit),
      /** Null: not counted. */
      bandwidth: Type.Optional(Type.Union([Rate, Type.Null()])),
      bandwidthUnit: Type.Optional(Node.properties.bandwidthUnit),
      cordoned: Type.Optional(Type.Boolean()),
    },
    { minProperties: 1 },
  ),
)

const Join = bodySchema(
  Type.Object({
    name: Name,
    machineId: Type.String({ minLength: 1, maxLength: 128 }),
    credentialHash: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description:
        'SHA-256, in hex, of the bearer token that the node made for itself. The token itself is never sent here.',
    }),
    labels: Type.Optional(Labels),
  }),
)

export const NODE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/nodes',
    access: READ,
    tag: 'nodes',
    summary: 'List nodes',
    query: Type.Object({ ...PAGE_QUERY, state: Type.Optional(Node.properties.state) }),
    replies: { 200: pageSchema(ref('Node')) },
    handle: (call) =>
      call.read((state) => {
        const wanted = (node: Node) => call.query.state === undefined || node.state === call.query.state
        return ok(shownPage(page(state.all('node').values(), call.query, wanted), (node) => show(call, state, node)))
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/nodes/join',
    access: 'join',
    tag: 'nodes',
    summary: 'Make a machine a node, with a join token',
    description:
      'A join token works once. When the answer got lost, the same request gives it again: the node is recognised by its name, machine and credential.',
    body: Join,
    replies: {
      201: {
        type: 'object',
        required: ['node', 'installation'],
        properties: { node: ref('Node'), installation: { type: 'string' } },
        additionalProperties: false,
      },
    },
    async handle(call) {
      const nodeId = await join(call)
      return call.read((state) =>
        created({ node: show(call, state, findNode(state, nodeId)), installation: state.installation }),
      )
    },
  }),
  route({
    method: 'GET',
    path: '/v1/nodes/:node',
    access: READ_DOORS,
    tag: 'nodes',
    summary: 'Show a node',
    params,
    replies: { 200: ref('Node') },
    handle: (call) => call.read((state) => ok(show(call, state, findNode(state, call.params.node)))),
  }),
  route({
    method: 'PATCH',
    path: '/v1/nodes/:node',
    access: OPERATE,
    tag: 'nodes',
    summary: 'Change what a node may take',
    params,
    body: NodeChanges,
    replies: { 200: ref('Node') },
    async handle(call) {
      const set: NodeUpdate = call.body
      const { answer } = await call.submit((state) => {
        return { kind: 'node.update', nodeId: findNode(state, call.params.node).id, set }
      })
      return call.read((state) => ok(show(call, state, answer as Node)))
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/nodes/:node',
    access: OPERATE,
    tag: 'nodes',
    summary: 'Remove a node that holds nothing; its credentials end',
    params,
    replies: { 200: ref('Node') },
    async handle(call) {
      const { answer } = await call.submit((state) => {
        return { kind: 'node.remove', nodeId: findNode(state, call.params.node).id }
      })
      return call.read((state) => ok(show(call, state, answer as Node)))
    },
  }),
]

type Anything = Call<unknown, unknown, unknown>
type JoinBody = { name: string; machineId: string; credentialHash: string; labels?: Record<string, string> }
type JoinCall = Call<Record<never, never>, Record<never, never>, JoinBody>

function show(call: Anything, state: LedgerState, node: Node): unknown {
  return showNode(state, call.api.controller.sessions, node)
}

/** @returns the node's id */
async function join(call: JoinCall): Promise<string> {
  const already = () => call.read((state) => joined(state, call.body))
  if (call.known === undefined) {
    // the join token may have been used up by this very request, whose answer was lost
    const nodeId = await already()
    if (nodeId !== undefined) return nodeId
    throw new HoldfastError(
      'unauthenticated',
      'this takes a join token that has not been used or expired; make a new one',
    )
  }
  requireAccess(call.caller, ['admin', 'join'])
  const { name, machineId, credentialHash, labels = {} } = call.body
  const joinTokenId = call.caller.tokenRole === 'join' ? call.caller.tokenId : undefined
  try {
    const { answer } = await call.submit((state) => {
      if (state.tokenByHash.has(credentialHash)) {
        throw new HoldfastError(
          'name_taken',
          'body.credentialHash: this credential is in use; the node must make another',
        )
      }
      if (joinTokenId !== undefined && state.get('token', joinTokenId) === undefined) {
        throw new HoldfastError('unauthenticated', 'the join token has been used in the meantime')
      }
      return { kind: 'node.join', name, joinTokenId, credentialHash, machineId, labels }
    })
    return (answer as { node: Node }).node.id
  } catch (thrown) {
    const nodeId = await already().catch(() => undefined)
    if (nodeId !== undefined) return nodeId
    throw thrown
  }
}

/** The node that this very request has made before. */
function joined(state: LedgerState, body: JoinBody): string | undefined {
  const token = state.get('token', state.tokenByHash.get(body.credentialHash) ?? '')
  const node = token?.nodeId === undefined ? undefined : state.get('node', token.nodeId)
  return node?.name === body.name && node.machineId === body.machineId ? node.id : undefined
}
