/**
 * A program that commits numbered batches to the store of a directory, one after the other, and says `ack N` on its
 * standard output after each. Arguments: the directory, and how many batches (0: until it is killed).
 *
 * Batch N sets n = N in ten records, adds the record `log-N`, replaces `tmp-(N-1)` by `tmp-N`, and has one event: so
 * half a batch cannot be mistaken for a whole one.
 */
import { writeSync } from 'node:fs'
import { openSqliteStore } from '../../../../src/store/sqlite/open.ts'
import type { Batch, Head, RecordChange } from '../../../../src/store/store.ts'

const [directory = '', count = '0'] = process.argv.slice(2)
const store = await openSqliteStore({ directory })
let head = await store.campaign()
writeSync(1, `leading ${head.revision}\n`)
for (let left = Number(count) || Number.POSITIVE_INFINITY; left > 0; left -= 1) {
  const batch = numbered(head)
  await store.commit(batch)
  writeSync(1, `ack ${batch.revision}\n`)
  head = { ...head, revision: batch.revision }
}
await store.close()

function numbered(at: Head): Batch {
  const n = at.revision + 1
  const json = JSON.stringify({ n, filler: 'x'.repeat(n % 700) })
  const changes: RecordChange[] = Array.from({ length: 10 }, (_, i) => ({ kind: 'same', id: `${i}`, json }))
  changes.push({ kind: 'log', id: `log-${n}`, json })
  changes.push({ kind: 'tmp', id: `tmp-${n - 1}`, json: undefined }, { kind: 'tmp', id: `tmp-${n}`, json })
  const events = [{ revision: n, json }]
  return { term: at.term, previousRevision: at.revision, revision: n, at: n, changes, events }
}
