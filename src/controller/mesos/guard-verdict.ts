import type { RequiredAcls } from '../../mesos/acls.ts'
import type { OneMaster } from '../../mesos/any-master.ts'
import { type Guard, guardOfFlags } from '../../mesos/guard.ts'

/** How long a guard that was verified outlasts looks that find out nothing, ms: a fail-over takes so long. */
export const GRACE_MS = 120_000

/** Limits of the record (model/mesos.ts). */
const MAX_SENTENCES = 64
const MAX_LENGTH = 1000

/**
 * The verdict over all masters: what the leading one was found to be, and whether one that may lead next would be open.
 * One that does not answer is not held against the others: it is told of elsewhere.
 */
export function verdictOf(leading: Guard, others: readonly OneMaster[], required: RequiredAcls): Guard {
  const open = others.flatMap((master) => openIn(master, required))
  const why = [...leading.why, ...open].slice(0, MAX_SENTENCES).map((each) => each.slice(0, MAX_LENGTH))
  return { state: open.length > 0 ? 'absent' : leading.state, why }
}

function openIn({ url, flags }: OneMaster, required: RequiredAcls): string[] {
  if (flags === undefined) return []
  const { guarded, why } = guardOfFlags(flags, required)
  return guarded === true ? [] : why.map((each) => `at ${url}, which may lead next: ${each}`)
}

/**
 * What the ledger should hold now; undefined: what it has. A look that found out nothing changes a verified guard only
 * when it has been so for a while: as long as nobody can be asked nobody is known to have changed anything.
 * @param verifiedAt when a look found it verified last, or watching began, by the same clock as `now`, ms
 */
export function nextGuard(before: Guard | undefined, found: Guard, verifiedAt: number, now: number): Guard | undefined {
  const outlasts = before?.state === 'verified' && found.state === 'unverified' && now - verifiedAt < GRACE_MS
  if (outlasts) return undefined
  const same = before?.state === found.state && JSON.stringify(before.why) === JSON.stringify(found.why)
  return same ? undefined : found
}
