import { type Static, Type } from 'typebox'
import { Id, Millis, Role } from './fields.ts'

export const TokenRole = Type.Union([
  Type.Literal('admin'),
  Type.Literal('operator'),
  Type.Literal('reader'),
  Type.Literal('node'),
  Type.Literal('framework'),
  /** Works once, to join a node. */
  Type.Literal('join'),
])
export type TokenRole = Static<typeof TokenRole>

/** A credential. Only its SHA-256 is kept. */
export const Token = Type.Object({
  id: Id,
  /** Hex SHA-256 of the secret. */
  hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  tokenRole: TokenRole,
  /** What it may act for; undefined: any role. */
  roles: Type.Optional(Type.Array(Role, { maxItems: 64 })),
  /** The node whose credential this is. */
  nodeId: Type.Optional(Id),
  note: Type.String({ maxLength: 255 }),
  expiresAt: Type.Optional(Millis),
  createdAt: Millis,
})
export type Token = Static<typeof Token>
