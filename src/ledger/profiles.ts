import { HoldfastError } from '../model/errors.ts'
import { checkName } from '../model/names.ts'
import type { Profile } from '../model/profile.ts'
import { quote } from '../model/units.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'

export type ProfileCommand =
  | { kind: 'profile.set'; name: string; set: Omit<Profile, 'id' | 'createdAt'> }
  | { kind: 'profile.delete'; name: string }

type Of<K extends ProfileCommand['kind']> = Extract<ProfileCommand, { kind: K }>

/** What was made under a profile keeps what it has. */
export function setProfile(tx: Transaction, command: Of<'profile.set'>): Outcome<Profile> {
  const id = checkName('profile', command.name)
  const createdAt = tx.get('profile', id)?.createdAt ?? tx.now
  return about('profile', tx.put('profile', { id, ...command.set, createdAt }), 'profile.set', { ...command.set })
}

export function deleteProfile(tx: Transaction, command: Of<'profile.delete'>): Outcome<Profile> {
  const profile = tx.get('profile', command.name)
  if (profile === undefined) throw new HoldfastError('not_found', `there is no profile ${quote(command.name)}`)
  tx.remove('profile', profile.id)
  return about('profile', profile, 'profile.deleted')
}
