import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import { Labels, Rate, Role, SizeMiB } from '../../model/fields.ts'
import type { Hold } from '../../model/hold.ts'
import { findPool } from '../../placement/pools.ts'
import { mayUse, OWN, READ_OWNED, roleFor } from './caller.ts'
import { ref } from './components.ts'
import { TIME_PATTERN } from './describe-schema.ts'
import { findHold } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema } from './rest-schema.ts'
import { created, ok, type Route, route } from './route.ts'
import { showHold } from './show-volumes.ts'

const params = Type.Object({ hold: Type.String() })

const NewHold = bodySchema(
  Type.Object({
    pool: Type.String({ minLength: 1, maxLength: 255 }),
    role: Type.Optional(Role),
    sizeMiB: SizeMiB,
    iops: Type.Optional(Rate),
    expiresInSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 * 365 * 24 * 60 * 60 })),
    expiresAt: Type.Optional(Type.String({ pattern: TIME_PATTERN, maxLength: 40 })),
    labels: Type.Optional(Labels),
  }),
)

export const HOLD_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/holds',
    access: READ_OWNED,
    tag: 'holds',
    summary: 'List holds',
    query: Type.Object({
      ...PAGE_QUERY,
      pool: Type.Optional(Type.String({ maxLength: 255 })),
      role: Type.Optional(Role),
    }),
    replies: { 200: pageSchema(ref('Hold')) },
    handle: (call) =>
      call.read((state) => {
        const { pool, role } = call.query
        const poolId = pool === undefined ? undefined : findPool(state, pool).id
        const wanted = (hold: Hold) =>
          (poolId === undefined || hold.poolId === poolId) &&
          (role === undefined || hold.role === role) &&
          mayUse(call.caller, hold.role)
        return ok(shownPage(page(state.all('hold').values(), call.query, wanted), (hold) => showHold(state, hold)))
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/holds',
    access: OWN,
    tag: 'holds',
    summary: 'Set capacity and IOPS aside for a role',
    body: NewHold,
    replies: { 201: ref('Hold') },
    async handle(call) {
      const { body } = call
      const role = roleFor(call.caller, body.role)
      const expiresAt = expiryOf(body, call.now)
      const { answer } = await call.submit((state: LedgerState) => ({
        kind: 'hold.create',
        poolId: findPool(state, body.pool).id,
        role,
        sizeMiB: body.sizeMiB,
        iops: body.iops ?? 0,
        expiresAt,
        labels: body.labels ?? {},
      }))
      return call.read((state) => created(showHold(state, answer as Hold)))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/holds/:hold',
    access: READ_OWNED,
    tag: 'holds',
    summary: 'Show a hold',
    params,
    replies: { 200: ref('Hold') },
    handle: (call) => call.read((state) => ok(showHold(state, findHold(state, call.caller, call.params.hold)))),
  }),
  route({
    method: 'DELETE',
    path: '/v1/holds/:hold',
    access: OWN,
    tag: 'holds',
    summary: 'Give a hold back; volumes that drew on it keep what they have',
    params,
    replies: { 200: ref('Hold') },
    async handle(call) {
      const { answer } = await call.submit((state) => {
        return { kind: 'hold.release', holdId: findHold(state, call.caller, call.params.hold).id, reason: 'asked' }
      })
      return call.read((state) => ok(showHold(state, answer as Hold)))
    },
  }),
]

/** @throws invalid_option */
function expiryOf(body: { expiresInSeconds?: number; expiresAt?: string }, now: number): number | undefined {
  const { expiresInSeconds, expiresAt } = body
  if (expiresInSeconds !== undefined && expiresAt !== undefined) {
    throw new HoldfastError('invalid_option', 'body: give expiresInSeconds or expiresAt, not both')
  }
  if (expiresInSeconds !== undefined) return now + expiresInSeconds * 1000
  if (expiresAt === undefined) return undefined
  const at = Date.parse(expiresAt)
  if (Number.isNaN(at) || at < 0) {
    throw new HoldfastError(
      'invalid_option',
      `body.expiresAt: ${expiresAt} is no date; write it like 2026-01-31T12:00:00Z`,
    )
  }
  return at
}
