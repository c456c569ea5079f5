import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { Attachment } from '../../model/attachment.ts'
import { HoldfastError } from '../../model/errors.ts'
import { Rate, Reason } from '../../model/fields.ts'
import { OPERATE, OPERATE_DOORS, READ } from './caller.ts'
import { ref, wrapped } from './components.ts'
import { PATH_PATTERN } from './describe-schema.ts'
import { find, findNode, findVolume } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema } from './rest-schema.ts'
import { type Call, ok, type Reply, type Route, route } from './route.ts'
import { showAttachment } from './show-volumes.ts'
import { WAIT_QUERY, waitUntil } from './waits.ts'

const params = Type.Object({ attachment: Type.String() })
const IdOrName = Type.String({ minLength: 1, maxLength: 255 })
/** What the ids of users begin with that CSI's controller service has published volumes for. */
const CSI_USERS = 'csi/'
const RestUser = Type.Object({ id: Type.String({ minLength: 1, maxLength: 256 }) })

const NewAttachment = bodySchema(
  Type.Object({
    volume: IdOrName,
    node: IdOrName,
    user: Type.Optional(RestUser),
    mode: Type.Optional(Attachment.properties.mode),
    bandwidth: Type.Optional(Rate),
    mountAt: Type.Optional(Type.String({ pattern: PATH_PATTERN, maxLength: 1024 })),
  }),
)

type Anything = Call<unknown, unknown, unknown>

/**
 * The user under which this door holds volumes; the caller itself when it names none. A node speaks for other nodes in
 * one case: as CSI's controller service, for that one's users. @throws forbidden
 */
function restUser({ caller }: Anything, user: { id: string } | undefined): { door: string; id: string } {
  const id = user?.id ?? caller.principal
  if (caller.tokenRole === 'node' && !(caller.door === 'csi' && id.startsWith(CSI_USERS))) {
    throw new HoldfastError('forbidden', `a node's token is for its CSI door here, and for users "${CSI_USERS}…"`)
  }
  return { door: 'rest', id }
}

export const ATTACHMENT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/attachments',
    access: READ,
    tag: 'attachments',
    summary: 'List attachments',
    query: Type.Object({
      ...PAGE_QUERY,
      volume: Type.Optional(IdOrName),
      node: Type.Optional(IdOrName),
      state: Type.Optional(Attachment.properties.state),
    }),
    replies: { 200: pageSchema(ref('Attachment')) },
    handle: (call) =>
      call.read((state) => {
        const { volume, node, state: wantedState } = call.query
        const volumeId = volume === undefined ? undefined : findVolume(state, call.caller, volume).id
        const nodeId = node === undefined ? undefined : findNode(state, node).id
        const wanted = (each: Attachment) =>
          (volumeId === undefined || each.volumeId === volumeId) &&
          (nodeId === undefined || each.nodeId === nodeId) &&
          (wantedState === undefined || each.state === wantedState)
        const found = page(state.all('attachment').values(), call.query, wanted)
        return ok(shownPage(found, (each) => showAttachment(state, each, call.now)))
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/attachments',
    access: OPERATE_DOORS,
    tag: 'attachments',
    summary: 'Attach and mount a volume on a node, for a user',
    query: Type.Object(WAIT_QUERY),
    body: NewAttachment,
    replies: { 202: wrapped('attachment', 'Attachment'), 200: wrapped('attachment', 'Attachment') },
    async handle(call) {
      const { volume, node, user, mode = 'rw', bandwidth, mountAt } = call.body
      const { answer } = await call.submit((state) => ({
        kind: 'attachment.claim',
        volumeId: findVolume(state, call.caller, volume).id,
        nodeId: findNode(state, node).id,
        user: restUser(call, user),
        mode,
        bandwidth,
        mountAt,
      }))
      return answerClaim(call, answer as Attachment, call.query.wait ?? 0)
    },
  }),
  route({
    method: 'GET',
    path: '/v1/attachments/:attachment',
    access: READ,
    tag: 'attachments',
    summary: 'Show an attachment',
    params,
    replies: { 200: ref('Attachment') },
    handle: (call) =>
      call.read((state) => ok(showAttachment(state, find(state, 'attachment', call.params.attachment), call.now))),
  }),
  route({
    method: 'POST',
    path: '/v1/attachments/:attachment/release',
    access: OPERATE_DOORS,
    tag: 'attachments',
    summary: 'Take a user of this door off; the last one leaves the node to unmount and detach',
    params,
    query: Type.Object(WAIT_QUERY),
    body: bodySchema(Type.Object({ user: Type.Optional(RestUser) })),
    bodyMayBeAbsent: true,
    replies: { 200: wrapped('attachment', 'Attachment') },
    async handle(call) {
      const { answer } = await call.submit((state) => {
        const { volumeId, nodeId } = find(state, 'attachment', call.params.attachment)
        return { kind: 'attachment.unclaim', volumeId, nodeId, user: restUser(call, call.body.user) }
      })
      const left = answer as Attachment
      // while others use it, there is nothing to wait for
      await waitUntil(call, call.query.wait ?? 0, (state) => {
        const now = state.get('attachment', left.id)
        return now === undefined || now.users.length > 0 ? true : undefined
      })
      return call.read((state) => ok(shown(state, state.get('attachment', left.id) ?? left, call.now)))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/attachments/:attachment/force',
    access: OPERATE,
    tag: 'attachments',
    summary: 'Declare an attachment gone, without proof',
    description:
      'If the node still writes, the next writer and it destroy the filesystem between them. Only for a node that is lost or a volume that is stuck; the reason is recorded.',
    params,
    body: bodySchema(Type.Object({ reason: Reason })),
    replies: { 200: wrapped('attachment', 'Attachment') },
    async handle(call) {
      const { answer } = await call.submit((state) => ({
        kind: 'attachment.force',
        attachmentId: find(state, 'attachment', call.params.attachment).id,
        reason: call.body.reason,
      }))
      return call.read((state) => ok(shown(state, answer as Attachment, call.now)))
    },
  }),
]

function shown(state: LedgerState, attachment: Attachment, now: number): { attachment: unknown } {
  return { attachment: showAttachment(state, attachment, now) }
}

/** 202, or 200 once it is mounted (a raw volume: attached). @throws stuck; cancelled when it was released meanwhile */
async function answerClaim(call: Anything, claimed: Attachment, wait: number): Promise<Reply> {
  const latest = (state: LedgerState) => state.get('attachment', claimed.id)
  if (wait === 0) return call.read((state) => ({ status: 202, body: shown(state, claimed, call.now) }))
  const ended = await waitUntil(call, wait, (state) => {
    const now = latest(state)
    if (now === undefined) return { gone: true as const }
    const raw = state.get('volume', now.volumeId)?.fs === 'raw'
    const done = now.state === 'mounted' || now.state === 'stuck' || (raw && now.state === 'attached')
    return done ? { gone: false as const, now, body: shown(state, now, call.now) } : undefined
  })
  if (ended === undefined)
    return call.read((state) => ({ status: 202, body: shown(state, latest(state) ?? claimed, call.now) }))
  if (ended.gone) throw new HoldfastError('cancelled', 'the attachment was released before it was mounted')
  if (ended.now.state !== 'stuck') return ok(ended.body)
  throw new HoldfastError('stuck', ended.now.reason ?? 'the node could not mount it', { ...ended.body })
}
