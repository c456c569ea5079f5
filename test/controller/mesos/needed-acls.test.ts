import { describe, expect, test } from 'vitest'
import { neededAcls } from '../../../src/controller/mesos/needed-acls.ts'
import type { PoolMesos } from '../../../src/model/mesos.ts'
import { type Kept, pool, stateOf, volume } from '../../placement/support/records.ts'

function shown(name: string, set: Partial<PoolMesos>): Kept {
  const mesos: PoolMesos = {
    ...{ roles: ['ads'], reservation: 'dynamic', unreserved: false },
    ...{ spread: 0, float: true, block: false, bandwidth: false },
    ...set,
  }
  return ['pool', pool(name, { mesos })]
}

/** Roles that are forbidden, by what is. */
function forbidden(records: readonly Kept[], more: readonly string[] = []) {
  const { required, conflicts } = neededAcls(stateOf(...records), 'holdfast', more)
  const valuesOf = (rules: readonly { readonly roles: { readonly values?: readonly string[] } }[] = []) =>
    rules.flatMap(({ roles }) => roles.values ?? [])
  return { reserve: valuesOf(required.reserve_resources), create: valuesOf(required.create_volumes), conflicts }
}

describe('what the masters must forbid', () => {
  test('is nothing of a role as long as nothing is shown, and always what our principal made', () => {
    const { required } = neededAcls(stateOf(['pool', pool('a')]), 'holdfast')
    expect(required).toEqual({
      permissive: true,
      destroy_volumes: [{ principals: { type: 'NONE' }, creator_principals: { values: ['holdfast'] } }],
      unreserve_resources: [{ principals: { type: 'NONE' }, reserver_principals: { values: ['holdfast'] } }],
    })
  })

  test.each<[string, Partial<PoolMesos>, string[], string[]]>([
    ['reserved and floating', {}, ['ads', 'ads/%'], ['ads']],
    ['reserved, staying where it was made', { float: false }, ['ads', 'ads/%'], []],
    ['unreserved and floating', { unreserved: true }, ['ads/%'], ['ads']],
    ['unreserved, staying', { unreserved: true, float: false }, [], []],
  ])('for a pool that is %s', (_what, set, reserve, create) => {
    expect(forbidden([shown('a', set)])).toEqual({ reserve, create, conflicts: [] })
  })

  test('for roles of several pools is told apart', () => {
    const pools = [shown('a', { roles: ['ads'] }), shown('b', { roles: ['web'], unreserved: true, float: false })]
    expect(forbidden(pools)).toEqual({ reserve: ['ads', 'ads/%'], create: ['ads'], conflicts: [] })
  })

  test('for a role in pools of two kinds is what protects, and the conflict is told', () => {
    const pools = [shown('a', {}), shown('b', { unreserved: true, float: false })]
    const { reserve, create, conflicts } = forbidden(pools)
    expect([reserve, create]).toEqual([['ads', 'ads/%'], ['ads']])
    expect(conflicts).toEqual([
      'frameworks of the role "ads" cannot reserve what pool ceph~a~b shows unreserved: "ads" has its capacity of pool ceph~a~a reserved already',
      'frameworks of the role "ads" cannot make the disks of pool ceph~a~b persistent, which do not float: those of pool ceph~a~a float, for the same role',
    ])
  })

  test('for a role whose parent is protected, too, is told', () => {
    const pools = [shown('a', {}), shown('b', { roles: ['ads/web'], unreserved: true, float: false })]
    expect(forbidden(pools).conflicts).toEqual([expect.stringContaining('role "ads/web" cannot reserve')])
  })

  test('covers volumes that float when their role has been taken from the pool', () => {
    const mesos = { target: 'MOUNT', float: true, reservations: [] } as const
    const left: Kept = ['volume', volume('v', 'pool-a', { role: 'old', mesos: { ...mesos, reservations: [] } })]
    expect(forbidden([shown('a', {}), left])).toMatchObject({
      reserve: ['ads', 'ads/%', 'old/%'],
      create: ['ads', 'old'],
    })
  })

  test('can be asked before a role is added', () => {
    expect(forbidden([shown('a', {})], ['next'])).toEqual({
      reserve: ['ads', 'ads/%', 'next', 'next/%'],
      create: ['ads', 'next'],
      conflicts: [],
    })
  })
})
