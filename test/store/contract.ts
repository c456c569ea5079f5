import { describe, expect, onTestFinished, test } from 'vitest'
import {
  BATCH_BYTES,
  BATCH_RECORDS,
  type Batch,
  type Head,
  type RecordChange,
  type Store,
  type StoredRecord,
} from '../../src/store/store.ts'

/** One set of data, and ways to open it. Removes what it made when the test ends. */
export interface StoreUnderTest {
  /** Opens another store on the same data. */
  open(): Promise<Store>
  /** Whether two may be open at once; else the second is refused with `fenced`. */
  readonly shared: boolean
}

export interface Loaded {
  readonly head: Head
  readonly records: StoredRecord[]
}

export async function loadAll(store: Store): Promise<Loaded> {
  const records: StoredRecord[] = []
  const head = await store.load((record) => records.push(record))
  records.sort((a, b) => compare(`${a.kind} ${a.id}`, `${b.kind} ${b.id}`))
  return { head, records }
}

export function put(id: string, json = `{"id":"${id}"}`, kind = 'volume'): RecordChange {
  return { kind, id, json }
}

export function removal(id: string, kind = 'volume'): RecordChange {
  return { kind, id, json: undefined }
}

/** The batch that follows a head, with one event. */
export function next(head: Head, changes: readonly RecordChange[], part: Partial<Batch> = {}): Batch {
  const revision = part.revision ?? head.revision + 1
  return {
    term: head.term,
    previousRevision: head.revision,
    revision,
    at: head.at + 1000,
    changes,
    events: [{ revision, json: `{"revision":${revision}}` }],
    ...part,
  }
}

export async function commitNext(store: Store, head: Head, changes: readonly RecordChange[]): Promise<Head> {
  const batch = next(head, changes)
  await store.commit(batch)
  return { ...head, revision: batch.revision, at: batch.at }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** What every store must do. `make` gives new, empty data for each test. */
export function storeContract(name: string, make: () => StoreUnderTest): void {
  async function opened(under: StoreUnderTest = make()): Promise<Store> {
    const store = await under.open()
    onTestFinished(() => store.close())
    return store
  }

  async function leading(): Promise<{ store: Store; head: Head }> {
    const store = await opened()
    return { store, head: await store.campaign() }
  }

  describe(`the store contract: ${name}`, () => {
    describe('writing', () => {
      test('a new store is empty, at revision 0, with an installation of its own', async () => {
        const { store, head } = await leading()
        expect(head).toMatchObject({ revision: 0, at: 0 })
        expect(head.installation).toMatch(/^[0-9a-f-]{36}$/)
        expect(await loadAll(store)).toEqual({ head, records: [] })
        expect(await store.events(0, 10)).toEqual({ events: [], oldest: 0 })
      })

      test('a batch is there afterwards, with the revision it was written at', async () => {
        const { store, head } = await leading()
        await store.commit(next(head, [put('a'), put('b')], { revision: 3, events: [{ revision: 2, json: '{}' }] }))
        const loaded = await loadAll(store)
        expect(loaded.head).toEqual({ ...head, revision: 3, at: 1000 })
        expect(loaded.records).toEqual([
          { kind: 'volume', id: 'a', revision: 3, json: '{"id":"a"}' },
          { kind: 'volume', id: 'b', revision: 3, json: '{"id":"b"}' },
        ])
      })

      test('a later version replaces an earlier one, a removal removes, and the others stay', async () => {
        const { store, head } = await leading()
        const first = await commitNext(store, head, [put('a'), put('b'), put('c')])
        await commitNext(store, first, [put('a', '{"new":true}'), removal('b'), removal('never-there')])
        expect((await loadAll(store)).records).toEqual([
          { kind: 'volume', id: 'a', revision: 2, json: '{"new":true}' },
          { kind: 'volume', id: 'c', revision: 1, json: '{"id":"c"}' },
        ])
      })

      test('a record may be removed and made again in one batch, in that order', async () => {
        const { store, head } = await leading()
        const first = await commitNext(store, head, [put('a'), put('b')])
        await commitNext(store, first, [removal('a'), put('a', '{"again":1}'), put('b', '{}'), removal('b')])
        expect((await loadAll(store)).records).toEqual([{ kind: 'volume', id: 'a', revision: 2, json: '{"again":1}' }])
      })

      test('records of different kinds may have the same id', async () => {
        const { store, head } = await leading()
        await store.commit(next(head, [put('a', '1', 'pool'), put('a', '2', 'node'), put('b', '3', 'node a')]))
        const records = (await loadAll(store)).records
        expect(records.map(({ kind, id, json }) => [kind, id, json])).toEqual([
          ['node', 'a', '2'],
          ['node a', 'b', '3'],
          ['pool', 'a', '1'],
        ])
      })

      test('text comes back as it was, in every script', async () => {
        const { store, head } = await leading()
        const json = JSON.stringify({ text: 'Gerät 卷 том 💾 \u0000 \u2028 \\ " \ud7ff\ue000', empty: '' })
        await store.commit(next(head, [put('ключ-💾', json)], { events: [{ revision: 1, json }] }))
        expect((await loadAll(store)).records).toMatchObject([{ id: 'ключ-💾', json }])
        expect((await store.events(0, 1)).events).toEqual([{ revision: 1, json }])
      })

      test('the numbers may be as large as JSON numbers may', async () => {
        const { store, head } = await leading()
        const revision = Number.MAX_SAFE_INTEGER
        await store.commit(next(head, [put('a')], { revision, at: Number.MAX_SAFE_INTEGER }))
        expect((await loadAll(store)).head).toMatchObject({ revision, at: Number.MAX_SAFE_INTEGER })
        expect((await store.events(revision - 1, 1)).events).toHaveLength(1)
      })
    })

    describe('the chain', () => {
      test('a batch on another revision is refused, and nothing of it is written', async () => {
        const { store, head } = await leading()
        const first = await commitNext(store, head, [put('a')])
        const before = await loadAll(store)
        for (const previousRevision of [0, 2]) {
          const wrong = next({ ...first, revision: previousRevision }, [put('a', '"wrong"'), put('z'), removal('a')])
          await expect(store.commit(wrong)).rejects.toMatchObject({ code: 'fenced' })
        }
        expect(await loadAll(store)).toEqual(before)
        expect((await store.events(0, 10)).events).toHaveLength(1)
        await commitNext(store, first, [put('b')])
      })

      test('a batch of an earlier term is refused, on the right revision too', async () => {
        const { store, head } = await leading()
        const second = await store.campaign()
        expect(second).toEqual({ ...head, term: head.term + 1 })
        await expect(store.commit(next(head, [put('a')]))).rejects.toMatchObject({ code: 'fenced' })
        expect((await loadAll(store)).records).toEqual([])
        await commitNext(store, second, [put('a')])
      })

      test('a batch sent before the one before it is known is refused, and that one is not disturbed', async () => {
        const { store, head } = await leading()
        const first = store.commit(next(head, [put('a')]))
        const after = { ...head, revision: 1, at: 1000 }
        await expect(store.commit(next(after, [put('b')]))).rejects.toMatchObject({ code: 'internal' })
        await first
        await commitNext(store, after, [put('c')])
        expect((await loadAll(store)).records.map((record) => record.id)).toEqual(['a', 'c'])
      })

      test('without a campaign nothing is written', async () => {
        const store = await opened()
        const { head } = await loadAll(store)
        await expect(store.commit(next(head, [put('a')]))).rejects.toMatchObject({ code: 'fenced' })
        await expect(store.confirm()).rejects.toMatchObject({ code: 'fenced' })
        expect((await loadAll(store)).records).toEqual([])
      })

      test('a second writer takes over only as the store allows, and then the first writes nothing more', async () => {
        const under = make()
        const first = await opened(under)
        const head = await commitNext(first, await first.campaign(), [put('a')])
        if (!under.shared) {
          await expect(under.open()).rejects.toMatchObject({ code: 'fenced' })
          await commitNext(first, head, [put('b')])
          return
        }
        const second = await opened(under)
        await first.confirm()
        const taken = await second.campaign()
        await expect(first.confirm()).rejects.toMatchObject({ code: 'fenced' })
        await second.confirm()
        expect(taken).toEqual({ ...head, term: head.term + 1 })
        await expect(first.commit(next(head, [put('old')]))).rejects.toMatchObject({ code: 'fenced' })
        await commitNext(second, taken, [put('new')])
        expect((await loadAll(first)).records.map((record) => record.id)).toEqual(['a', 'new'])
      })
    })

    describe('limits', () => {
      test('the largest batch is taken, and one record more is refused', async () => {
        const { store, head } = await leading()
        const changes = Array.from({ length: BATCH_RECORDS }, (_, i) => put(`v-${i}`))
        const refused = store.commit(next(head, [...changes, put('more')]))
        await expect(refused).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('101') })
        await store.commit(next(head, changes))
        expect((await loadAll(store)).records).toHaveLength(BATCH_RECORDS)
      })

      test('a record of almost the largest size is taken, and a batch of too many bytes is refused', async () => {
        const { store, head } = await leading()
        const json = JSON.stringify('ü'.repeat(BATCH_BYTES / 2 - 20))
        const first = next(head, [put('big', json)], { events: [] })
        await store.commit(first)
        expect((await loadAll(store)).records[0]?.json).toBe(json)
        const second = next({ ...head, revision: 1 }, [put('big', json)], {
          events: [{ revision: 2, json: JSON.stringify('x'.repeat(100)) }],
        })
        await expect(store.commit(second)).rejects.toMatchObject({ code: 'internal' })
        expect((await loadAll(store)).head.revision).toBe(1)
      })

      test.each([
        ['goes back', { revision: 4 }],
        ['stands still', { revision: 5 }],
        ['is no whole number', { revision: 5.5 }],
        ['is not a safe number', { revision: 2 ** 53 }],
        ['has an event of before', { revision: 6, events: [{ revision: 5, json: '{}' }] }],
        ['has an event of after', { revision: 6, events: [{ revision: 7, json: '{}' }] }],
      ])('a batch that %s is refused', async (_, part) => {
        const { store, head } = await leading()
        const batch = next(head, [put('a')], { revision: 5 })
        await store.commit(batch)
        const wrong = next({ ...head, revision: 5 }, [put('b')], part)
        await expect(store.commit(wrong)).rejects.toMatchObject({ code: 'internal' })
        expect((await loadAll(store)).head.revision).toBe(5)
      })
    })

    describe('events', () => {
      async function withEvents(count: number): Promise<{ store: Store; head: Head }> {
        const { store, head } = await leading()
        const events = Array.from({ length: count }, (_, i) => ({ revision: i + 1, json: `{"n":${i + 1}}` }))
        await store.commit(next(head, [put('a')], { revision: count, events }))
        return { store, head: { ...head, revision: count, at: 1000 } }
      }

      test('come in pages, oldest first', async () => {
        const { store } = await withEvents(10)
        const seen: number[] = []
        for (let after = 0; ; ) {
          const page = await store.events(after, 4)
          if (page.events.length === 0) break
          expect(page.events.length).toBeLessThanOrEqual(4)
          seen.push(...page.events.map((event) => event.revision))
          after = seen.at(-1) ?? after
        }
        expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      })

      test('that were trimmed are gone, and the page says from where on there are any', async () => {
        const { store, head } = await withEvents(10)
        await store.trimEvents(7)
        expect(await store.events(0, 2)).toEqual({
          events: [
            { revision: 8, json: '{"n":8}' },
            { revision: 9, json: '{"n":9}' },
          ],
          oldest: 8,
        })
        await store.trimEvents(3)
        expect((await store.events(0, 2)).oldest).toBe(8)
        await commitNext(store, head, [put('b')])
        expect((await store.events(9, 5)).events.map((event) => event.revision)).toEqual([10, 11])
      })

      test('may all be trimmed, but not those to come', async () => {
        const { store, head } = await withEvents(5)
        await store.trimEvents(1000)
        expect(await store.events(0, 10)).toEqual({ events: [], oldest: 6 })
        await commitNext(store, head, [put('b')])
        expect(await store.events(0, 10)).toMatchObject({ events: [{ revision: 6 }], oldest: 6 })
      })

      test('by the thousands are trimmed while batches go on', async () => {
        const { store, head } = await withEvents(7000)
        const trimming = store.trimEvents(6500)
        const later = await commitNext(store, head, [put('b')])
        await commitNext(store, later, [put('c')])
        await trimming
        const page = await store.events(0, 1000)
        expect(page.oldest).toBe(6501)
        expect(page.events).toHaveLength(502)
      })
    })

    describe('closing', () => {
      test('what was written is there after opening again, under a higher term', async () => {
        const under = make()
        const first = await under.open()
        const head = await commitNext(first, await first.campaign(), [put('a')])
        await first.trimEvents(1)
        const before = await loadAll(first)
        await first.close()
        const second = await opened(under)
        expect(await second.campaign()).toEqual({ ...head, term: head.term + 1 })
        const after = await loadAll(second)
        expect(after.records).toEqual(before.records)
        expect(after.head).toEqual({ ...before.head, term: head.term + 1 })
        expect((await second.events(0, 1)).oldest).toBe(2)
      })

      test('a closed store refuses everything, and closing it again does nothing', async () => {
        const { store, head } = await leading()
        await store.close()
        await store.close()
        const calls = [
          () => store.campaign(),
          () => store.load(() => undefined),
          () => store.commit(next(head, [put('a')])),
          () => store.events(0, 1),
          () => store.trimEvents(0),
        ]
        for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'internal' })
      })

      test('an error thrown by the reader of records reaches the caller, and the store goes on', async () => {
        const { store, head } = await leading()
        const after = await commitNext(store, head, [put('a'), put('b')])
        const failing = store.load(() => {
          throw new Error('not a record of mine')
        })
        await expect(failing).rejects.toThrow('not a record of mine')
        await commitNext(store, after, [put('c')])
        expect((await loadAll(store)).records).toHaveLength(3)
      })
    })
  })
}
