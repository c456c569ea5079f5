import fc from 'fast-check'
import { expect, test } from 'vitest'
import { distance, nearest } from '../../src/model/near.ts'
import { scaled } from '../support/scale.ts'

test('inserting, deleting, changing and swapping neighbours count one each', () => {
  expect(distance('volume', 'volumes')).toBe(1)
  expect(distance('volume', 'olume')).toBe(1)
  expect(distance('volume', 'valume')).toBe(1)
  expect(distance('volume', 'voulme')).toBe(1)
  expect(distance('', 'abc')).toBe(3)
})

test('the distance is the same both ways, nothing to itself, and at most the longer text', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      expect(distance(a, b)).toBe(distance(b, a))
      expect(distance(a, a)).toBe(0)
      expect(distance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
      if (a !== b) expect(distance(a, b)).toBeGreaterThan(0)
    }),
    { numRuns: scaled(200) },
  )
})

test('the nearest name is meant, whatever its case, and none when all are far', () => {
  expect(nearest('DB-2', ['web', 'db-1'])).toBe('db-1')
  expect(nearest('lisen', ['state', 'listen', 'log'])).toBe('listen')
  expect(nearest('something', ['web', 'db-1'])).toBeUndefined()
  expect(nearest('x', [])).toBeUndefined()
})
