import type { Journal, JournalChange } from './journal.ts'

/**
 * Those who used volumes under an earlier boot of the machine are gone with it, and so is what was still to be told of
 * their coming. What may be left in the journal of attached volumes stays, to be looked at.
 */
export function forgetEarlierBoot(journal: Journal, bootId: string): void {
  const before = journal.entries('boot').get('boot')
  if (before === bootId) return
  const changes: JournalChange[] = [{ kind: 'boot', id: 'boot', value: bootId }]
  if (before !== undefined) {
    for (const [id, entry] of journal.entries('slot'))
      changes.push({ kind: 'slot', id, value: { ...entry, users: [] } })
    for (const [id, owed] of journal.entries('owed')) {
      if (owed.call === 'claim') changes.push({ kind: 'owed', id, value: undefined })
    }
  }
  journal.write(...changes)
}
