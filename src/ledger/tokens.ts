import { HoldfastError } from '../model/errors.ts'
import type { Token, TokenRole } from '../model/token.ts'
import { checkExpiry } from './clock.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'

export type TokenCommand =
  | {
      kind: 'token.create'
      /** Hex SHA-256 of the secret, which the ledger never sees. */
      hash: string
      tokenRole: TokenRole
      roles: string[] | undefined
      nodeId: string | undefined
      note: string
      expiresAt: number | undefined
    }
  | { kind: 'token.revoke'; tokenId: string; reason: 'asked' | 'expired' }

type Of<K extends TokenCommand['kind']> = Extract<TokenCommand, { kind: K }>

export function createToken(tx: Transaction, command: Of<'token.create'>): Outcome<Token> {
  const { hash, tokenRole, roles, nodeId, note, expiresAt } = command
  const token = tx.put('token', {
    id: tx.newId('token'),
    hash,
    tokenRole,
    ...(roles === undefined ? {} : { roles }),
    ...(nodeId === undefined ? {} : { nodeId }),
    note,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    createdAt: tx.now,
  })
  return about('token', token, 'token.created', { tokenRole, note })
}

export function revokeToken(tx: Transaction, command: Of<'token.revoke'>): Outcome<Token> {
  const token = tx.need('token', command.tokenId)
  if (command.reason === 'expired') checkExpiry(tx)
  if (command.reason === 'expired' && (token.expiresAt === undefined || token.expiresAt > tx.now)) {
    throw new HoldfastError('wrong_state', `token ${token.id} has not expired`)
  }
  tx.remove('token', token.id)
  return about('token', token, 'token.revoked', { reason: command.reason })
}
