import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HoldfastError } from '../../src/model/errors.ts'
import {
  type BareNumber,
  formatCount,
  formatMiB,
  formatSize,
  MAX_MIB,
  MAX_RATE,
  parseRate,
  parseSize,
  quote,
} from '../../src/model/units.ts'
import { scaled } from '../support/scale.ts'

const UNITS: Record<string, bigint> = {
  B: 1n,
  K: 1n << 10n,
  KiB: 1n << 10n,
  M: 1n << 20n,
  MiB: 1n << 20n,
  G: 1n << 30n,
  GiB: 1n << 30n,
  T: 1n << 40n,
  TiB: 1n << 40n,
  P: 1n << 50n,
  PiB: 1n << 50n,
  EiB: 1n << 60n,
  KB: 1000n,
  MB: 1000_000n,
  GB: 1000_000_000n,
  TB: 1000_000_000_000n,
  PB: 1000_000_000_000_000n,
  EB: 1000_000_000_000_000_000n,
}

function codeOf(run: () => unknown): string {
  try {
    return `accepted ${String(run())}`
  } catch (thrown) {
    return thrown instanceof HoldfastError ? thrown.code : String(thrown)
  }
}

describe('parseSize', () => {
  it.each([
    ['1MiB', 1],
    ['1 M', 1],
    ['10GiB', 10_240],
    ['10g', 10_240],
    ['1.5TiB', 1_572_864],
    ['0.5G', 512],
    ['500 GB', 476_838],
    ['1KB', 1],
    ['1b', 1],
    [' 16 GiB ', 16_384],
    ['1048577B', 2],
    ['1000TB', 953_674_317],
    ['8EiB', MAX_MIB],
    ['8192PiB', MAX_MIB],
    ['0.000000001 MiB', 1],
  ])('reads %j as %i MiB, rounded up', (text, mib) => {
    expect(parseSize(text)).toBe(mib)
  })

  it.each([
    '',
    ' ',
    '0',
    '0MiB',
    '0.0GiB',
    '-1GiB',
    '+1GiB',
    '1e30',
    '1e30GiB',
    'NaN',
    'Infinity',
    '10 parsecs',
    '10GiB/s',
    '1,000MiB',
    '1.2.3G',
    '.5G',
    '5.G',
    '0x10M',
    '٣MiB',
    '10constructor',
    '10toString',
    '10GiB; rm -rf /',
    '10\u0000GiB',
    '9000000000000000000EiB',
    '8.000000001EiB',
    `${'9'.repeat(20)}B`,
    `1.${'0'.repeat(10)}G`,
    `${'1'.repeat(100_000)}G`,
  ])('refuses %j', (text) => {
    expect(codeOf(() => parseSize(text))).toBe('invalid_size')
  })

  it('reads a number without a unit as the caller says, or refuses it', () => {
    expect(codeOf(() => parseSize('10'))).toBe('invalid_size')
    expect(parseSize('10', 'GiB')).toBe(10_240)
    expect(parseSize('10', 'MiB')).toBe(10)
    expect(parseSize('1GB', 'MiB')).toBe(954)
  })

  it('is exact for every unit and fraction', () => {
    const amount = fc.tuple(fc.bigInt({ min: 0n, max: 10n ** 12n }), fc.integer({ min: 0, max: 9 }))
    fc.assert(
      fc.property(amount, fc.constantFrom(...Object.keys(UNITS)), ([digits, decimals], unit) => {
        const text = digits.toString().padStart(decimals + 1, '0')
        const written = decimals === 0 ? text : `${text.slice(0, -decimals)}.${text.slice(-decimals)}`
        const bytes = digits * (UNITS[unit] ?? 0n)
        const perMiB = (1n << 20n) * 10n ** BigInt(decimals)
        const mib = (bytes + perMiB - 1n) / perMiB
        const expected = mib === 0n || mib > BigInt(MAX_MIB) ? 'invalid_size' : `accepted ${mib}`
        expect(codeOf(() => parseSize(`${written}${unit}`))).toBe(expected)
      }),
      { numRuns: scaled(3000) },
    )
  })

  it('answers anything at all with a size or invalid_size', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9.eE+-]{0,12} ?[A-Za-z]{0,12}$/))
    fc.assert(
      fc.property(text, fc.constantFrom<BareNumber>('refused', 'GiB', 'MiB'), (each, bare) => {
        expect(codeOf(() => parseSize(each, bare))).toMatch(/^(accepted [1-9]\d*|invalid_size)$/)
      }),
      { numRuns: scaled(3000) },
    )
  })
})

describe('formatSize', () => {
  it('is always readable again, off by less than a twentieth, with at most four digits', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 1, max: MAX_MIB }), fc.integer({ min: 1, max: 5000 })), (mib) => {
        const again = parseSize(formatSize(mib))
        expect(Math.abs(again - mib) / mib).toBeLessThan(0.05)
        expect(formatSize(mib).replaceAll(/\D/g, '').length).toBeLessThanOrEqual(4)
      }),
      { numRuns: scaled(3000) },
    )
  })

  it.each([
    [1, '1MiB'],
    [1024, '1GiB'],
    [1536, '1.5GiB'],
    [750_000_000, '715.3TiB'],
    [MAX_MIB, '8EiB'],
    [MAX_MIB - 1, '8.0EiB'],
  ])('writes %i MiB as %s', (mib, text) => {
    expect(formatSize(mib)).toBe(text)
  })
})

describe('exact figures', () => {
  it('writes every digit, in threes', () => {
    expect(formatMiB(1_000_000_000)).toBe('1,000,000,000 MiB')
    expect([0, 7, 999, 1000, -1234, 123_456].map(formatCount)).toEqual(['0', '7', '999', '1,000', '-1,234', '123,456'])
  })
})

describe('parseRate', () => {
  it.each([
    ['0', 0],
    [' 900 ', 900],
    [String(MAX_RATE), MAX_RATE],
  ])('reads %j', (text, rate) => {
    expect(parseRate('iops', text)).toBe(rate)
  })

  it.each(['', '-1', '1.5', '1e3', 'NaN', String(MAX_RATE + 1), '9'.repeat(40), '1 000', '0x1'])(
    'refuses %j',
    (text) => {
      expect(() => parseRate('iops', text)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
    },
  )
})

describe('quote', () => {
  it('never lets a control character through and stays short', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const shown = quote(text)
        expect(shown.length).toBeLessThan(600)
        expect(shown).not.toMatch(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/u)
        if (text.length <= 80) expect(JSON.parse(shown)).toBe(text)
      }),
      { numRuns: scaled(1000) },
    )
  })
})
