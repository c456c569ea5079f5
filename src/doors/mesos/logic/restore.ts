import type { Projection } from '../../../mesos/projection.ts'
import type { Shown } from '../advertise/shown.ts'
import { restored } from '../advertise/subscription.ts'
import { wantPool } from '../advertise/wanted.ts'
import type { Hello } from '../holder/protocol.ts'
import type { Bandwidths } from './bandwidths.ts'
import type { Book, ProviderEntry, ProviderState, ShownEntry } from './book.ts'
import type { OperationRecord } from './operation-record.ts'
import type { Operations } from './operations.ts'
import type { Owed, OwedEntry } from './owed.ts'
import type { SlowOperations } from './slow-operations.ts'
import type { UseEntry, Uses } from './uses.ts'

export interface RestoreParts {
  readonly book: Book
  readonly operations: Operations
  readonly owed: Owed
  readonly uses: Uses
  readonly bandwidths: Bandwidths
  readonly slow: SlowOperations
}

/** Takes up what an earlier life has written down, and the streams that the holder still has. */
export function restore(hello: Hello, parts: RestoreParts): void {
  const { book, operations, owed, uses, bandwidths, slow } = parts
  const entries = sorted(hello.journal)
  book.agentId = entries.one<{ agentId: string }>('agent')?.agentId
  book.mountRoot = entries.one<{ mountRoot: string }>('node')?.mountRoot
  for (const entry of entries.all<ProviderEntry>('provider')) {
    const shown = entries.one<ShownEntry>(`shown/${entry.poolId}`)
    restoreProvider(hello, book, entry, shown)
  }
  for (const record of entries.all<OperationRecord>('operation')) {
    const provider = book.providers.get(record.poolId)
    if (provider === undefined) continue
    operations.records.set(record.id, record)
    slow.restore(provider, record)
  }
  for (const entry of entries.all<OwedEntry>('owed')) owed.restore(entry)
  for (const entry of entries.all<UseEntry>('use')) uses.restore(entry)
  for (const [poolId, { amount }] of entries.named<{ amount: number }>('bandwidth')) bandwidths.restore(poolId, amount)
}

function restoreProvider(hello: Hello, book: Book, entry: ProviderEntry, shown: ShownEntry | undefined): void {
  const view = hello.streams.find(({ key }) => key === entry.poolId)
  const provider: ProviderState = {
    poolId: entry.poolId,
    info: entry.info,
    versionUuid: shown?.versionUuid ?? '',
    stream: view?.state ?? 'none',
    failures: 0,
    // who starts the whole program anew wants it back
    tornDown: entry.tornDown === true && !hello.fresh,
    ...(entry.providerId === undefined ? {} : { providerId: entry.providerId }),
  }
  book.providers.set(provider.poolId, provider)
  if (shown === undefined) return
  // a subscription of which no earlier logic has heard begins with SUBSCRIBED, which is among the events
  const isNew = hello.events.some((each) => {
    return each.key === entry.poolId && each.kind === 'event' && each.event.type === 'SUBSCRIBED'
  })
  const goesOn = provider.stream === 'open' && !isNew
  restored(book.agent, entry.poolId, shown.shown, !goesOn ? 'no' : view?.updated === true ? 'yes' : 'perhaps')
  if (shown.projection !== undefined) wantPool(book.agent, asShown(shown.projection, shown.shown), book.desk.now)
}

/** What the controller wanted then may have been taken long ago: until it speaks, what is shown is what is wanted. */
function asShown({ bandwidth: _, ...projection }: Projection, { raw, disks, bandwidth }: Shown): Projection {
  const sum = bandwidth.reduce((total, { amount }) => total + amount, 0)
  return {
    ...projection,
    raw: raw.map(({ reservations, amount }) => ({ reservations, sizeMiB: amount })),
    disks: disks.map((disk) => ({ ...disk, usedHere: false })),
    ...(bandwidth.length === 0 ? {} : { bandwidth: sum }),
  }
}

function sorted(journal: Hello['journal']) {
  const map = new Map(journal)
  const named = <T>(kind: string): [id: string, value: T][] =>
    [...map].flatMap(([id, value]) => (id.startsWith(`${kind}/`) ? [[id.slice(kind.length + 1), value as T]] : []))
  return {
    one: <T>(id: string) => map.get(id) as T | undefined,
    named,
    all: <T>(kind: string): T[] => named<T>(kind).map(([, value]) => value),
  }
}
