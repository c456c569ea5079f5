import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLowOnStorage, isThin, poolLimitMiB } from '../../src/model/pool.ts'
import { MAX_MIB } from '../../src/model/units.ts'
import { pool } from '../placement/support/records.ts'
import { scaled } from '../support/scale.ts'

describe('the limit of a pool', () => {
  it('is exact up to 2^43 MiB and an over-commit of 100', () => {
    const size = fc.oneof(fc.integer({ min: 0, max: MAX_MIB }), fc.integer({ min: MAX_MIB - 2000, max: MAX_MIB }))
    const ratio = fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.constantFrom(1, 999, 1000, 1001, 99_999, 100_000))
    fc.assert(
      fc.property(
        size,
        ratio,
        fc.integer({ min: 0, max: MAX_MIB }),
        (capacityMiB, overcommitThousandths, reserveMiB) => {
          const promised = (BigInt(capacityMiB) * BigInt(overcommitThousandths)) / 1000n
          const limit = poolLimitMiB({ capacityMiB, overcommitThousandths, reserveMiB })
          expect(BigInt(limit)).toBe(promised - BigInt(reserveMiB))
          expect(Number.isSafeInteger(limit)).toBe(true)
        },
      ),
      { numRuns: scaled(5000) },
    )
  })

  it.each([
    [1_000_000_000, 1000, 0, 1_000_000_000],
    [1000, 1500, 100, 1400],
    [999, 1, 0, 0],
    [1001, 1999, 0, 2000],
    [MAX_MIB, 100_000, 0, 879_609_302_220_800],
  ])(
    'of %i MiB at %i thousandths with %i in reserve is %i',
    (capacityMiB, overcommitThousandths, reserveMiB, limit) => {
      expect(poolLimitMiB({ capacityMiB, overcommitThousandths, reserveMiB })).toBe(limit)
    },
  )
})

describe('what the storage says of itself', () => {
  it('makes a pool thin when less is there than is declared, and low below a twentieth', () => {
    const storage = { sizeMiB: 1000, freeMiB: 50, at: 0 }
    expect(isThin(pool('p', { capacityMiB: 1000, storage }))).toBe(false)
    expect(isThin(pool('p', { capacityMiB: 1001, storage }))).toBe(true)
    expect(isThin(pool('p', { capacityMiB: 1001 }))).toBe(false)
    expect(isLowOnStorage(pool('p', { storage }))).toBe(false)
    expect(isLowOnStorage(pool('p', { storage: { ...storage, freeMiB: 49 } }))).toBe(true)
  })
})
