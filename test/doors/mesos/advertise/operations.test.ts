import { describe, expect, it } from 'vitest'
import { convert } from '../../../../src/doors/mesos/advertise/conversion.ts'
import { converted, heard, hold, recorded, released } from '../../../../src/doors/mesos/advertise/operations.ts'
import { wantDisks, wantRaw } from '../../../../src/doors/mesos/advertise/wanted.ts'
import { ids, POOL, sizes, started, want } from './support/started.ts'
import { ADS, disk, raw, shownDisk, WEB } from './support/wanted.ts'

describe('an operation', () => {
  const made = { kind: 'made', reservations: ADS, sizeMiB: 300, disk: shownDisk('vol-1', { sizeMiB: 300 }) } as const

  it('keeps what it consumes in the totals, whatever is free, until it ends', () => {
    const driver = started()
    expect(driver.do(() => hold(driver.agent, POOL, 'op-1', { kind: 'raw', reservations: ADS, sizeMiB: 300 }))).toBe(
      true,
    )
    want(driver, 0)
    driver.advance(60_000)
    expect(sizes(driver.told(POOL))).toEqual([300])
    driver.do(() => converted(driver.agent, POOL, 'op-1', made, driver.now))
    driver.advance(5)
    expect(driver.batches.at(-1)?.updates).toMatchObject([{ phase: 'finished', finished: ['op-1'] }])
    expect(sizes(driver.told(POOL))).toEqual([])
    expect(ids(driver.told(POOL))).toEqual(['vol-1'])
  })

  it('that cannot have its piece is refused', () => {
    const { agent } = started({ disks: [disk('vol-1')] })
    const piece = (sizeMiB: number) => ({ kind: 'raw', reservations: ADS, sizeMiB }) as const
    expect(hold(agent, POOL, 'op-1', piece(1001))).toBe(false)
    expect(hold(agent, POOL, 'op-1', piece(600))).toBe(true)
    expect(hold(agent, POOL, 'op-2', piece(600))).toBe(false)
    expect(hold(agent, POOL, 'op-1', piece(600))).toBe(true)
    released(agent, POOL, 'op-1')
    expect(hold(agent, POOL, 'op-2', piece(600))).toBe(true)
    expect(hold(agent, POOL, 'op-3', { kind: 'disk', volumeId: 'vol-1' })).toBe(true)
    expect(hold(agent, POOL, 'op-4', { kind: 'disk', volumeId: 'vol-1' })).toBe(false)
    expect(hold(agent, POOL, 'op-5', { kind: 'disk', volumeId: 'vol-2' })).toBe(false)
  })

  it('costs one update, though the projection follows it before, within and after', () => {
    for (const [first, last] of [
      [100, 5000],
      [3000, 3100],
      [4900, 5200],
    ] as const) {
      const driver = started()
      driver.do(() => hold(driver.agent, POOL, 'op-1', { kind: 'raw', reservations: ADS, sizeMiB: 300 }))
      const begin = driver.now
      driver.advanceTo(begin + Math.min(first, 3000))
      if (first <= 3000) want(driver, 700)
      driver.advanceTo(begin + 3050)
      driver.do(() => converted(driver.agent, POOL, 'op-1', made, driver.now))
      driver.advanceTo(begin + last)
      want(driver, 700)
      driver.do(() => wantDisks(driver.agent, POOL, [disk('vol-1', { sizeMiB: 300 })], []))
      driver.advance(60_000)
      expect(driver.phases()).toEqual(['finished'])
      expect(sizes(driver.told(POOL))).toEqual([700])
    }
  })

  it.each([
    ['before', 0],
    ['after', 100],
  ])('that deletes a disk gives its capacity back by one update, the projection following %s its end', (_, late) => {
    const driver = started({ disks: [disk('vol-1', { sizeMiB: 300 })] })
    const follow = () => {
      want(driver, 1300)
      driver.do(() => wantDisks(driver.agent, POOL, [], ['vol-1']))
      driver.advance(100)
    }
    driver.do(() => hold(driver.agent, POOL, 'op-1', { kind: 'disk', volumeId: 'vol-1' }))
    if (late === 0) follow()
    expect(driver.batches).toEqual([])
    const unmade = { kind: 'unmade', volumeId: 'vol-1', reservations: ADS, sizeMiB: 300 } as const
    driver.do(() => converted(driver.agent, POOL, 'op-1', unmade, driver.now))
    driver.advance(late)
    if (late > 0) follow()
    driver.advance(60_000)
    expect(driver.phases()).toEqual(['finished'])
    expect(sizes(driver.told(POOL))).toEqual([1300])
    expect(ids(driver.told(POOL))).toEqual([])
  })

  it('leaves to the next one what it has not taken, before the agent has heard of its end', () => {
    const driver = started()
    const piece = (sizeMiB: number) => ({ kind: 'raw', reservations: ADS, sizeMiB }) as const
    driver.do(() => hold(driver.agent, POOL, 'op-1', piece(300)))
    converted(driver.agent, POOL, 'op-1', made, driver.now)
    for (const inFlight of [false, true]) {
      if (inFlight) driver.do(() => undefined)
      expect(hold(driver.agent, POOL, 'op-2', piece(701))).toBe(false)
      expect(hold(driver.agent, POOL, 'op-2', piece(700))).toBe(true)
      released(driver.agent, POOL, 'op-2')
    }
    expect(driver.phases()).toEqual(['finished'])
  })

  it('goes at once though two batches went just before', () => {
    const driver = started()
    driver.do(() => hold(driver.agent, POOL, 'op-1', { kind: 'raw', reservations: ADS, sizeMiB: 300 }))
    want(driver, 2000)
    driver.advance(10)
    want(driver, 3000)
    driver.advance(10)
    want(driver, 4000)
    driver.advance(10)
    expect(driver.phases()).toEqual(['change', 'change'])
    driver.do(() => converted(driver.agent, POOL, 'op-1', made, driver.now))
    expect(driver.phases()).toEqual(['change', 'change', 'finished'])
    driver.advance(5)
    expect(sizes(driver.told(POOL))).toEqual([3700])
  })

  it('of Mesos itself is recorded without an update, and is not taken back before the ledger has it', () => {
    const driver = started({ guarded: false, raw: [raw(1000, [])] })
    const moved = { kind: 'moved', what: 'raw', from: [], to: WEB, amount: 400 } as const
    driver.speculate(POOL, (shown) => convert(shown, moved))
    driver.do(() => converted(driver.agent, POOL, 'op-1', moved, driver.now))
    driver.advance(60_000)
    expect(driver.batches).toEqual([])
    driver.do(() => recorded(driver.agent, POOL, 'op-1', driver.now))
    driver.advance(1999)
    driver.do(() => heard(driver.agent, driver.now))
    driver.do(() => wantRaw(driver.agent, POOL, [raw(600, []), raw(400, WEB)], driver.now))
    driver.advance(1)
    driver.do(() => heard(driver.agent, driver.now))
    driver.advance(60_000)
    expect(driver.batches).toEqual([])
    expect(driver.pool(POOL).settling).toEqual([])
    expect(driver.pool(POOL).shown?.raw.map(({ amount }) => amount)).toEqual([600, 400])
  })
})
