import { describe, expect, test } from 'vitest'
import { GRACE_MS, nextGuard, verdictOf } from '../../../src/controller/mesos/guard-verdict.ts'
import { requiredAcls } from '../../../src/mesos/acls.ts'
import type { Guard } from '../../../src/mesos/guard.ts'

const required = requiredAcls({ principal: 'holdfast', roles: ['ads'] })
const guarded = new Map([['acls', JSON.stringify(required)]])
const verified: Guard = { state: 'verified', why: [] }
const unverified: Guard = { state: 'unverified', why: ['nobody answers'] }
const absent: Guard = { state: 'absent', why: ['no ACLs'] }

describe('the verdict over all masters', () => {
  test('is that of the leading one when the others forbid the same, or do not answer', () => {
    const others = [
      { url: 'http://m2', flags: guarded },
      { url: 'http://m3', trouble: 'away' },
    ]
    expect(verdictOf(verified, others, required)).toEqual(verified)
    expect(verdictOf(unverified, others, required)).toEqual(unverified)
  })

  test.each<[string, Map<string, string>, RegExp]>([
    ['has no ACLs', new Map(), /runs without --acls/],
    ['has an authorizer of its own', new Map([['authorizers', 'x']]), /its own authorizer "x"/],
    ['has ACLs that nobody can read', new Map([['acls', '{']]), /cannot be read/],
  ])('is absent when one that may lead next %s', (_what, flags, says) => {
    const { state, why } = verdictOf(verified, [{ url: 'http://m2', flags }], required)
    expect(state).toBe('absent')
    expect(why).toEqual([expect.stringMatching(says)])
    expect(why[0]).toContain('at http://m2, which may lead next')
  })

  test('fits the record, however much there is to say', () => {
    const why = Array.from({ length: 100 }, () => 'x'.repeat(2000))
    const fitted = verdictOf({ state: 'absent', why }, [], required).why
    expect([fitted.length, fitted[0]?.length]).toEqual([64, 1000])
  })
})

describe('what the ledger is told', () => {
  test('is nothing when it knows', () => {
    expect(nextGuard(verified, verified, 0, 0)).toBeUndefined()
    expect(nextGuard(absent, { ...absent }, 0, 0)).toBeUndefined()
  })

  test('is the first verdict, and each other one', () => {
    expect(nextGuard(undefined, unverified, 0, 0)).toBe(unverified)
    expect(nextGuard(unverified, { ...unverified, why: ['something else'] }, 0, 0)).toEqual({
      state: 'unverified',
      why: ['something else'],
    })
    expect(nextGuard(absent, verified, 0, 0)).toBe(verified)
  })

  test('is at once that something is open', () => {
    expect(nextGuard(verified, absent, 0, 0)).toBe(absent)
  })

  test('is not that nothing could be found out, until that has lasted', () => {
    expect(nextGuard(verified, unverified, 1000, 1000 + GRACE_MS - 1)).toBeUndefined()
    expect(nextGuard(verified, unverified, 1000, 1000 + GRACE_MS)).toBe(unverified)
    expect(nextGuard(absent, unverified, 1000, 1000)).toBe(unverified)
  })
})
