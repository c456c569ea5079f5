import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatId, ID_PREFIX, type IdKind, isIdOf, isOwnObject, objectName } from '../../src/model/ids.ts'
import { scaled } from '../support/scale.ts'

const kinds = Object.keys(ID_PREFIX) as IdKind[]
const time = fc.integer({ min: 0, max: 2 ** 45 - 1 })
const salt = fc.stringMatching(/^[0-9a-v]{12}$/)

describe('ids', () => {
  it('are short, lower-case, of their kind, and in the order of time', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), time, time, salt, salt, (kind, one, other, saltOne, saltOther) => {
        const ids = [formatId(kind, one, saltOne), formatId(kind, other, saltOther)] as const
        for (const id of ids) {
          expect(isIdOf(kind, id)).toBe(true)
          expect(id).toMatch(/^[a-z0-9-]{1,40}$/)
        }
        if (one !== other) expect(ids[0] < ids[1]).toBe(one < other)
      }),
      { numRuns: scaled(1000) },
    )
  })

  it.each(['', 'vol', 'vol-A', 'vol-1/2', 'vol-../x', 'vol-1\n', 'pool-1', `vol-${'1'.repeat(40)}`, 'vol-\u0000'])(
    'are not %j, for a volume',
    (text) => {
      expect(isIdOf('volume', text)).toBe(false)
    },
  )

  it('name objects that only their own installation calls its own', () => {
    const own = '0f0e0d0c-0b0a-4908-8706-050403020100'
    expect(objectName(own, 'vol-1')).toBe('hf-0f0e0d0c-vol-1')
    expect(isOwnObject(own, 'hf-0f0e0d0c-vol-1')).toBe(true)
    expect(isOwnObject(own, 'hf-1f0e0d0c-vol-1')).toBe(false)
    expect(isOwnObject(own, 'data')).toBe(false)
  })
})
