import { describe, expect, it } from 'vitest'
import { page } from '../../../src/controller/http/lists.ts'
import { type Rest, testRest } from './rest.ts'

interface Item {
  readonly id: string
}

/** Every page, one after the other. */
async function all(rest: Rest, path: string, between: (pages: number) => Promise<void> = async () => undefined) {
  const items: Item[] = []
  let next: string | undefined
  for (let pages = 0; pages < 1000; pages += 1) {
    const cursor = next === undefined ? '' : `&cursor=${next}`
    const { status, body } = await rest.ask('GET', `${path}${cursor}`)
    expect(status).toBe(200)
    items.push(...body.items)
    next = body.next
    if (next === undefined) return items
    await between(pages)
  }
  throw new Error('the pages never end')
}

const hold = (rest: Rest, more: object = {}) =>
  rest.ask('POST', '/v1/holds', { pool: 'loop~list~a', sizeMiB: 1, ...more })
const pool = (rest: Rest) => rest.ask('POST', '/v1/pools', { name: 'loop~list~a', driver: 'loop', capacityMiB: 10_000 })

describe('a list', () => {
  it('shows each thing that stays exactly once, in the order of ids, while others come and go', async () => {
    const rest = await testRest()
    await pool(rest)
    const made = await Promise.all(Array.from({ length: 50 }, () => hold(rest)))
    const ids = made.map((each) => each.body.id as string).sort()
    const removed = new Set<string>()
    const shown = await all(rest, '/v1/holds?limit=7', async (pages) => {
      await hold(rest)
      const victim = ids[49 - pages] as string
      removed.add(victim)
      await rest.ask('DELETE', `/v1/holds/${victim}`)
    })
    const shownIds = shown.map((each) => each.id)
    expect(shownIds).toEqual([...new Set(shownIds)].sort())
    expect(shownIds).toEqual(expect.arrayContaining(ids.filter((id) => !removed.has(id))))
  })

  it('keeps its filters from page to page', async () => {
    const rest = await testRest()
    await pool(rest)
    for (let index = 0; index < 20; index += 1) await hold(rest, { role: index % 2 === 0 ? 'even' : 'odd' })
    expect(await all(rest, '/v1/holds?limit=3&role=even')).toHaveLength(10)
    const { body } = await rest.ask('GET', '/v1/holds?limit=3&role=even')
    const other = await rest.ask('GET', `/v1/holds?limit=3&role=odd&cursor=${body.next}`)
    expect([other.status, other.body.code]).toEqual([400, 'invalid_cursor'])
  })

  it.each(['', 'x', '!!!!', Buffer.from('0123456789abcdef.').toString('base64url'), '%00', 'eyJhIjoxfQ'])(
    'refuses the cursor %j',
    async (cursor) => {
      const rest = await testRest()
      const { status, body } = await rest.ask('GET', `/v1/volumes?cursor=${cursor}`)
      expect([status, ['invalid_cursor', 'invalid_option'].includes(body.code)]).toEqual([400, true])
    },
  )
})

describe('a page', () => {
  const things = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ id: `x-${String(index).padStart(7, '0')}` }))

  it('does not trust the order in which records stand', () => {
    const shuffled = things(500).sort((a, b) =>
      a.id.split('').reverse().join('') < b.id.split('').reverse().join('') ? -1 : 1,
    )
    const found: Item[] = []
    let cursor: string | undefined
    do {
      const one = page(shuffled, { limit: 13, cursor })
      found.push(...one.items)
      cursor = one.next
    } while (cursor !== undefined)
    expect(found).toEqual(things(500))
  })

  it('ends exactly where the list does', () => {
    expect(page(things(10), { limit: 10 }).next).toBeUndefined()
    expect(page(things(11), { limit: 10 }).next).toBeDefined()
    expect(page([], {}).items).toEqual([])
  })

  it('costs a look at each record, not a sort of all', () => {
    const many = things(100_000)
    const last = page(many, { limit: 1000 }).next
    const begun = performance.now()
    for (let round = 0; round < 10; round += 1) page(many, { limit: 100, cursor: last })
    const each = (performance.now() - begun) / 10
    const sorting = performance.now()
    ;[...many].reverse().sort((a, b) => a.id.localeCompare(b.id))
    expect(each).toBeLessThan(performance.now() - sorting)
  })
})
