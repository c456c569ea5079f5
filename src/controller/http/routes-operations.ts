import { Type } from 'typebox'
import { type Operation, OperationKind, OperationState } from '../../model/operation.ts'
import { OPERATE, READ } from './caller.ts'
import { ref } from './components.ts'
import { find, findNode } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { ok, type Route, route } from './route.ts'
import { showOperation } from './show-operations.ts'

const params = Type.Object({ operation: Type.String() })

export const OPERATION_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/operations',
    access: READ,
    tag: 'operations',
    summary: 'List slow work, under way and ended in the last day',
    query: Type.Object({
      ...PAGE_QUERY,
      state: Type.Optional(OperationState),
      kind: Type.Optional(OperationKind),
      subject: Type.Optional(Type.String({ maxLength: 40, description: 'Id of what it is about.' })),
      node: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    }),
    replies: { 200: pageSchema(ref('Operation')) },
    handle: (call) =>
      call.read((state) => {
        const { kind, subject, node, state: wantedState } = call.query
        const nodeId = node === undefined ? undefined : findNode(state, node).id
        const wanted = (each: Operation) =>
          (wantedState === undefined || each.state === wantedState) &&
          (kind === undefined || each.kind === kind) &&
          (subject === undefined || each.subject.id === subject) &&
          (nodeId === undefined || each.nodeId === nodeId)
        const found = page(state.all('operation').values(), call.query, wanted)
        const { progress } = call.api.controller
        return ok(shownPage(found, (each) => showOperation(state, progress, each, call.now)))
      }),
  }),
  route({
    method: 'GET',
    path: '/v1/operations/:operation',
    access: READ,
    tag: 'operations',
    summary: 'Show an operation, how far it is, and what it waits for',
    params,
    replies: { 200: ref('Operation') },
    handle: (call) =>
      call.read((state) => {
        const operation = find(state, 'operation', call.params.operation)
        return ok(showOperation(state, call.api.controller.progress, operation, call.now))
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/operations/:operation/cancel',
    access: OPERATE,
    tag: 'operations',
    summary: 'Cancel an operation: at once when it waits, by asking its node when it runs',
    params,
    replies: { 200: ref('Operation') },
    async handle(call) {
      const { answer } = await call.submit((state) => {
        return { kind: 'operation.cancel', operationId: find(state, 'operation', call.params.operation).id }
      })
      const { progress } = call.api.controller
      return call.read((state) => ok(showOperation(state, progress, answer as Operation, call.now)))
    },
  }),
]
