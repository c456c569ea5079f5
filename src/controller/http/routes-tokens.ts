import { Type } from 'typebox'
import { HoldfastError } from '../../model/errors.ts'
import { Role } from '../../model/fields.ts'
import type { Token } from '../../model/token.ts'
import { digest, newSecret } from '../../runtime/secrets.ts'
import { ADMIN } from './caller.ts'
import { ref } from './components.ts'
import { find } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema, withTimes } from './rest-schema.ts'
import { created, ok, type Route, route } from './route.ts'

const JOIN_LIFE_S = 60 * 60
const MAX_LIFE_S = 10 * 365 * 24 * 60 * 60

const NewToken = bodySchema(
  Type.Object({
    tokenRole: Type.Union([
      Type.Literal('admin'),
      Type.Literal('operator'),
      Type.Literal('reader'),
      Type.Literal('framework'),
      Type.Literal('join'),
    ]),
    roles: Type.Optional(
      Type.Array(Role, { minItems: 1, maxItems: 64, description: 'Of a framework: what it acts for.' }),
    ),
    note: Type.Optional(Type.String({ maxLength: 255 })),
    expiresInSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LIFE_S })),
  }),
)

function showToken({ hash: _, ...token }: Token): unknown {
  return withTimes(token)
}

export const TOKEN_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/tokens',
    access: ADMIN,
    tag: 'tokens',
    summary: 'List tokens, without their secrets',
    query: Type.Object(PAGE_QUERY),
    replies: { 200: pageSchema(ref('Token')) },
    handle: (call) => call.read((state) => ok(shownPage(page(state.all('token').values(), call.query), showToken))),
  }),
  route({
    method: 'POST',
    path: '/v1/tokens',
    access: ADMIN,
    tag: 'tokens',
    summary: 'Make a token',
    description:
      'The secret is in this answer and nowhere else. A repetition under the same idempotency key gives the token without it: revoke that token and make another.',
    body: NewToken,
    replies: {
      201: {
        type: 'object',
        required: ['token'],
        properties: { token: ref('Token'), secret: { type: 'string' } },
        additionalProperties: false,
      },
    },
    async handle(call) {
      const { tokenRole, roles, note = '', expiresInSeconds } = call.body
      if ((tokenRole === 'framework') !== (roles !== undefined)) {
        throw new HoldfastError(
          'invalid_option',
          'body.roles: a framework token needs them, and no other token has them',
        )
      }
      const secret = newSecret()
      const hash = digest(secret)
      const life = expiresInSeconds ?? (tokenRole === 'join' ? JOIN_LIFE_S : undefined)
      const expiresAt = life === undefined ? undefined : call.now + life * 1000
      const { answer } = await call.submit({
        kind: 'token.create',
        hash,
        tokenRole,
        roles,
        nodeId: undefined,
        note,
        expiresAt,
      })
      const token = answer as Token
      return created({ token: showToken(token), ...(token.hash === hash ? { secret } : {}) })
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/tokens/:token',
    access: ADMIN,
    tag: 'tokens',
    summary: 'Revoke a token',
    params: Type.Object({ token: Type.String() }),
    replies: { 200: ref('Token') },
    async handle(call) {
      const { answer } = await call.submit((state) => {
        return { kind: 'token.revoke', tokenId: find(state, 'token', call.params.token).id, reason: 'asked' }
      })
      return ok(showToken(answer as Token))
    },
  }),
]
