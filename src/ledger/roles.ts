import { HoldfastError } from '../model/errors.ts'
import { checkRole } from '../model/names.ts'
import type { Quota, Role } from '../model/role.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'

export type RoleCommand = { kind: 'role.set'; role: string; quota: Quota } | { kind: 'role.delete'; role: string }

type Of<K extends RoleCommand['kind']> = Extract<RoleCommand, { kind: K }>

/** A quota below what is used is a fact: it is recorded, and the role is in deficit until it uses less. */
export function setRole(tx: Transaction, command: Of<'role.set'>): Outcome<Role> {
  const before = tx.get('role', checkRole(command.role))
  tx.isFact = true
  const role = tx.put('role', { id: command.role, quota: command.quota, createdAt: before?.createdAt ?? tx.now })
  return about('role', role, 'role.set', { ...command.quota })
}

/** Takes the quota away; what the role owns stays. */
export function deleteRole(tx: Transaction, command: Of<'role.delete'>): Outcome<Role> {
  const role = tx.get('role', command.role)
  if (role === undefined) throw new HoldfastError('not_found', `role ${command.role} has no quota`)
  tx.isFact = true
  tx.remove('role', role.id)
  return about('role', role, 'role.deleted')
}
