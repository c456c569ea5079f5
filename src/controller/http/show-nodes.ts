import { Type } from 'typebox'
import { nodeAttachments, nodeBandwidth } from '../../ledger/accounts.ts'
import { freeOf } from '../../ledger/limits.ts'
import type { LedgerState } from '../../ledger/state.ts'
import { Node } from '../../model/node.ts'
import { Deficit } from '../../model/records.ts'
import type { Sessions } from '../sessions.ts'
import { shownSchema, withTimes } from './rest-schema.ts'
import { deficits } from './show-pools.ts'

// the session is what a node proves itself with in its calls: nobody else is shown it
const { session: _, ...plain } = Node.properties

export const ShownNode = shownSchema(
  Type.Object({
    ...plain,
    attachments: Type.Integer(),
    attachmentsFree: Type.Integer(),
    bandwidthUsed: Type.Integer(),
    connected: Type.Boolean(),
    deficit: Type.Optional(Type.Array(Deficit)),
  }),
)

export function showNode(state: LedgerState, sessions: Sessions, node: Node): unknown {
  const { session, ...record } = node
  return withTimes({
    ...record,
    attachments: state.sum(nodeAttachments(node.id)),
    attachmentsFree: Math.min(freeOf(state, nodeAttachments(node.id)), node.attachmentLimit),
    bandwidthUsed: state.sum(nodeBandwidth(node.id)),
    connected: session !== undefined && sessions.isCurrent(node.id, session) && sessions.isLeased(node.id),
    ...deficits(state, [nodeAttachments(node.id), nodeBandwidth(node.id)]),
  })
}
