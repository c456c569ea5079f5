import type { LedgerState } from '../../ledger/state.ts'
import type { Pool } from '../../model/pool.ts'
import type { Profile } from '../../model/profile.ts'

export type Target = 'MOUNT' | 'BLOCK'

/** What a framework must ask for to get what a profile makes: only a raw volume is a block device. */
export function targetOf(profile: Pick<Profile, 'fs'>): Target {
  return profile.fs === 'raw' ? 'BLOCK' : 'MOUNT'
}

/** Why a profile cannot be used for a new disk in a pool; undefined: it can. */
export function whyUnusable(pool: Pool, profile: Profile): string | undefined {
  if (profile.pools?.includes(pool.name) === false) return `it is for ${profile.pools.join(', ') || 'no pool'}`
  if (profile.access === 'read-only') return 'nobody may write to what it makes'
  if (profile.fs === 'raw') {
    return pool.mesos?.block === true ? undefined : 'it makes block devices, which this pool does not offer'
  }
  const made = pool.capabilities?.filesystems
  return made?.includes(profile.fs) === false ? `no node can make ${profile.fs} there` : undefined
}

/** Profiles under which a framework can make a disk in a pool, by name. */
export function usableProfiles(state: LedgerState, pool: Pool): Profile[] {
  const usable = [...state.all('profile').values()].filter((profile) => whyUnusable(pool, profile) === undefined)
  return usable.sort((a, b) => (a.id < b.id ? -1 : 1))
}
