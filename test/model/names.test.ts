import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkName, checkRole, formatPoolName, isName, parsePoolName, roleAndAncestors } from '../../src/model/names.ts'
import { scaled } from '../support/scale.ts'

const invalid = expect.objectContaining({ code: 'invalid_name' })

const BAD = [
  '',
  '.',
  '..',
  '/',
  'a/b',
  '../etc/passwd',
  '-a',
  '_a',
  '.a',
  'a b',
  ' a',
  'a ',
  'a\n',
  '\na',
  'a\u0000',
  'a\tb',
  'naïve',
  '💾',
  'a~b',
  'a;reboot',
  '$(reboot)',
  '`reboot`',
  'a|b',
  'a&b',
  'a>b',
  'a*',
  'a?',
  "a'b",
  'a"b',
  'a\\b',
  'a:b',
  'a'.repeat(64),
  'a'.repeat(4096),
]

describe('names', () => {
  it.each(['a', '0', 'A.b_c-d', 'a'.repeat(63), '1.2.3', 'a..b', 'a--'])('accepts %j', (name) => {
    expect(checkName('volume', name)).toBe(name)
  })

  it.each(BAD)('refuses %j', (name) => {
    expect(isName(name)).toBe(false)
    expect(() => checkName('volume', name)).toThrow(invalid)
  })

  it('says what was wrong in one short, printable line', () => {
    for (const name of BAD) {
      try {
        checkName('volume', name)
      } catch (thrown) {
        expect((thrown as Error).message.length).toBeLessThan(300)
        expect((thrown as Error).message).toMatch(/^\P{Cc}+$/u)
      }
    }
    expect.hasAssertions()
  })

  it('accepts nothing but its own alphabet', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 70 }), (text) => {
        const expected = text.length >= 1 && text.length <= 63 && /^[A-Za-z0-9]/.test(text) && !/[^\w.-]/.test(text)
        expect(isName(text)).toBe(expected)
      }),
      { numRuns: scaled(2000) },
    )
  })
})

describe('roles', () => {
  it.each(['default', 'ads', 'ads/web', 'ads/web/eu', 'a*', '**', '...', '.a', 'a-', 'x@y', 'a'.repeat(255)])(
    'accepts %j',
    (role) => {
      expect(checkRole(role)).toBe(role)
    },
  )

  it.each([
    '',
    '*',
    '.',
    '..',
    '-a',
    '/',
    '/a',
    'a/',
    'a//b',
    'a/./b',
    'a/..',
    '../a',
    'a/-b',
    'a b',
    'a\tb',
    'a\n',
    'a\u0000',
    'a\b',
    'a\u007f',
    'é',
    '💾',
    'a'.repeat(256),
    'a'.repeat(4096),
  ])('refuses %j', (role) => {
    expect(() => checkRole(role)).toThrow(invalid)
  })

  it('knows a role and its parents, itself first', () => {
    expect(roleAndAncestors('ads')).toEqual(['ads'])
    expect(roleAndAncestors('ads/web/eu')).toEqual(['ads/web/eu', 'ads/web', 'ads'])
  })

  it('has one ancestor for every slash, each a part of the one before', () => {
    const role = fc
      .array(fc.stringMatching(/^[a-z]{1,3}$/), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.join('/'))
    fc.assert(
      fc.property(role, (each) => {
        const all = roleAndAncestors(each)
        expect(all).toHaveLength(each.split('/').length)
        for (const [index, one] of all.entries()) {
          expect(one).toBe(
            each
              .split('/')
              .slice(0, all.length - index)
              .join('/'),
          )
          expect(checkRole(one)).toBe(one)
        }
      }),
      { numRuns: scaled(500) },
    )
  })
})

describe('pool tuples', () => {
  it('reads and writes type~instance~pool', () => {
    const tuple = parsePoolName('scaleio~row8~pool-hdd')
    expect(tuple).toEqual({ type: 'scaleio', instance: 'row8', pool: 'pool-hdd' })
    expect(formatPoolName(tuple)).toBe('scaleio~row8~pool-hdd')
  })

  it.each([
    '',
    'a',
    'a~b',
    'a~b~c~d',
    '~~',
    'a~~c',
    '~b~c',
    'a~b~',
    'a~b~c\n',
    'a~b~../c',
    'a b~c~d',
    `${'a'.repeat(64)}~b~c`,
  ])('refuses %j', (name) => {
    expect(() => parsePoolName(name)).toThrow(invalid)
  })
})
