import { afterAll, beforeAll, expect, test } from 'vitest'
import { masked, type Server, server } from './holdfast.ts'

let at: Server
beforeAll(async () => {
  at = await server()
})
afterAll(() => at[Symbol.asyncDispose]())

test('profiles are set, listed, shown and removed', async () => {
  expect((await at.run('profile set fast --iops 10 --iops-per-gib 3 --pools loop~a~b,loop~a~c')).code).toBe(0)
  expect((await at.run('profile set disk --fs raw')).code).toBe(0)
  expect((await at.run('profile list')).out).toBe(
    [
      'NAME  FS    ACCESS         IOPS  IOPS/GiB  POOLS',
      'disk  raw   single-writer     0         0  all',
      'fast  ext4  single-writer    10         3  loop~a~b, loop~a~c',
      '',
    ].join('\n'),
  )
  expect(masked((await at.run('profile show fast')).out)).toContain('iops per GiB: 3\n')
  expect((await at.run('profile delete disk')).out).toBe('profile disk removed\n')
  const gone = await at.run('profile show disk')
  expect([gone.code, gone.err]).toEqual([4, 'holdfast: no such profile "disk"\n'])
  expect((await at.run('profile set ..')).code).toBe(2)
})

test('a pool is shown to Mesos, changed in parts, and not shown any more', async () => {
  const shown = async () => (await at.run('pool show loop~a~b')).out.match(/^mesos: *(.*)$/m)?.[1]
  await at.run('pool create loop~a~b --capacity 1GiB --mesos-roles ads,ads/web --mesos-block --mesos-no-float')
  expect(await shown()).toBe('roles ads, ads/web; disks stay; BLOCK disks')
  await at.run('pool update loop~a~b --mesos-spread 3 --mesos-shrink never --no-mesos-block --mesos-float')
  expect(await shown()).toBe('roles ads, ads/web; shrinks: never; idle volumes on 3 agents')
  await at.run('pool set loop~a~b --mesos-shrink default --mesos-spread 0 --mesos-bandwidth --mesos-unreserved')
  expect(await shown()).toBe('roles ads, ads/web; unreserved; storage_bw')
  expect((await at.run('pool update loop~a~b --no-mesos')).code).toBe(0)
  expect(await shown()).toBeUndefined()
  const without = await at.run('pool update loop~a~b --mesos-block')
  expect([without.code, without.err]).toEqual([
    2,
    'holdfast: body.mesos: roles must be given: which Mesos roles may use the pool\n',
  ])
})
