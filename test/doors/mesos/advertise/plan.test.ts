import { describe, expect, it } from 'vitest'
import { newAgent } from '../../../../src/doors/mesos/advertise/agent-state.ts'
import { convert } from '../../../../src/doors/mesos/advertise/conversion.ts'
import {
  converted,
  failedForRoom,
  heard,
  hold,
  recorded,
  released,
} from '../../../../src/doors/mesos/advertise/operations.ts'
import { plan } from '../../../../src/doors/mesos/advertise/plan.ts'
import { restored, subscribed, unsubscribed } from '../../../../src/doors/mesos/advertise/subscription.ts'
import {
  wantDisks,
  wantNewVersion,
  wantNothing,
  wantPool,
  wantRaw,
} from '../../../../src/doors/mesos/advertise/wanted.ts'
import { Driver } from './support/driver.ts'
import { ids, POOL, sizes, started, want } from './support/started.ts'
import { ADS, disk, projection, raw, shownDisk, WEB } from './support/wanted.ts'

describe('the first update', () => {
  it('says all that is wanted, once', () => {
    const driver = new Driver()
    driver.do(() => subscribed(driver.agent, POOL))
    expect(driver.batches).toEqual([])
    driver.do(() => wantPool(driver.agent, projection({ raw: [raw(1000)], disks: [disk('vol-1')] }), driver.now))
    driver.advance(60_000)
    expect(driver.phases()).toEqual(['subscribe'])
    expect(sizes(driver.told(POOL))).toEqual([1000])
    expect(ids(driver.told(POOL))).toEqual(['vol-1'])
  })

  it('says nothing after a restart when the agent has it, repeats it when it may have it, begins on a new stream', () => {
    const before = started().told(POOL)
    const known = newAgent()
    restored(known, POOL, before, 'yes')
    expect(plan(known, 1).updates).toEqual([])
    const open = newAgent()
    restored(open, POOL, before, 'perhaps')
    expect(plan(open, 1).updates).toEqual([{ poolId: POOL, shown: before, phase: 'repeat', finished: [] }])
    const closed = newAgent()
    restored(closed, POOL, before, 'no')
    expect(plan(closed, 1).updates).toEqual([])
    subscribed(closed, POOL)
    const shown = { ...before, version: before.version + 1 }
    expect(plan(closed, 2).updates).toEqual([{ poolId: POOL, shown, phase: 'subscribe', finished: [] }])
  })

  it('says the same as before the stream was lost while the controller is away', () => {
    const driver = started()
    const before = driver.told(POOL)
    driver.do(() => unsubscribed(driver.agent, POOL))
    driver.lose(POOL)
    driver.do(() => subscribed(driver.agent, POOL))
    driver.advance(10)
    expect(driver.told(POOL)).toEqual({ ...before, version: before.version + 1 })
  })
})

describe('growth', () => {
  it('of less than a sixteenth waits for half a minute without changes', () => {
    const driver = started()
    want(driver, 1060)
    driver.advance(20_000)
    want(driver, 1066)
    driver.advance(29_999)
    expect(driver.batches).toEqual([])
    driver.advance(1)
    expect(driver.phases()).toEqual(['change'])
    driver.advance(10)
    expect(sizes(driver.told(POOL))).toEqual([1066])
  })

  it('of a sixteenth of what is wanted goes at once', () => {
    const driver = started()
    want(driver, 1067)
    driver.advance(5)
    expect(sizes(driver.told(POOL))).toEqual([1067])
  })

  it('that makes a hidden stack visible goes at once, and takes nothing small along', () => {
    const driver = started()
    want(driver, 1001, 1)
    driver.advance(5)
    expect(sizes(driver.told(POOL))).toEqual([1000, 1])
  })
})

describe('a shrink', () => {
  it('makes a new version of the old figures, waits for the rescinds, then falls to what is free', () => {
    const driver = started()
    want(driver, 900)
    driver.advance(5)
    expect(sizes(driver.told(POOL))).toEqual([1000])
    driver.advance(59)
    expect(driver.phases()).toEqual(['before-shrink'])
    driver.advance(1)
    expect(driver.phases()).toEqual(['before-shrink', 'shrink'])
    driver.advance(5)
    expect(sizes(driver.told(POOL))).toEqual([900])
  })

  it('starts only when both of its updates are allowed', () => {
    const driver = started()
    want(driver, 2000)
    driver.advance(105)
    want(driver, 1000)
    driver.advance(1900)
    expect(driver.phases()).toEqual(['change'])
    driver.advance(1)
    expect(driver.phases()).toEqual(['change', 'before-shrink'])
    driver.advance(70)
    expect(sizes(driver.told(POOL))).toEqual([1000])
  })

  it('takes along what becomes due meanwhile, and falls to the newest figure', () => {
    const driver = started({ disks: [disk('vol-1')] })
    want(driver, 900)
    driver.advance(20)
    want(driver, 800)
    driver.do(() => wantDisks(driver.agent, POOL, [disk('vol-2')], ['vol-1']))
    driver.advance(100)
    expect(driver.phases()).toEqual(['before-shrink', 'shrink'])
    expect(sizes(driver.told(POOL))).toEqual([800])
    expect(ids(driver.told(POOL))).toEqual(['vol-2'])
  })

  it('is called off when there is room again before its second phase', () => {
    const driver = started()
    want(driver, 900)
    driver.advance(20)
    want(driver, 1000)
    driver.advance(60_000)
    expect(driver.phases()).toEqual(['before-shrink'])
    expect(sizes(driver.told(POOL))).toEqual([1000])
  })

  it('that was called off begins anew when it is due again', () => {
    const driver = started()
    want(driver, 900)
    driver.advance(20)
    want(driver, 1000)
    driver.advance(5000)
    want(driver, 900)
    driver.advance(5)
    expect(driver.phases()).toEqual(['before-shrink', 'before-shrink'])
    driver.advance(100)
    expect(sizes(driver.told(POOL))).toEqual([900])
  })

  it('follows though operations end all the time', () => {
    const driver = started()
    want(driver, 500)
    for (let index = 0; index < 20; index += 1) {
      const key = `op-${index}`
      driver.do(() => hold(driver.agent, POOL, key, { kind: 'raw', reservations: ADS, sizeMiB: 1 }))
      driver.advance(300)
      const made = { kind: 'made', reservations: ADS, sizeMiB: 1, disk: shownDisk(`vol-${index}`) } as const
      driver.do(() => converted(driver.agent, POOL, key, made, driver.now))
      driver.do(() => wantDisks(driver.agent, POOL, [disk(`vol-${index}`)], []))
      want(driver, 499 - index)
    }
    driver.advance(2100)
    expect(sizes(driver.told(POOL))).toEqual([480])
  })

  it('goes over all pools of the agent at the same time', () => {
    const driver = started()
    driver.do(() => {
      subscribed(driver.agent, 'pool-2')
      wantPool(driver.agent, projection({ poolId: 'pool-2', raw: [raw(50)] }), driver.now)
    })
    driver.advance(5000)
    driver.batches.length = 0
    driver.do(() => {
      wantRaw(driver.agent, POOL, [raw(900)], driver.now)
      wantRaw(driver.agent, 'pool-2', [raw(40)], driver.now)
    })
    driver.advance(100)
    expect(driver.batches.map(({ updates }) => updates.map(({ poolId }) => poolId))).toEqual([
      [POOL, 'pool-2'],
      [POOL, 'pool-2'],
    ])
    expect([...sizes(driver.told(POOL)), ...sizes(driver.told('pool-2'))]).toEqual([900, 40])
  })

  it('replaces what is labelled otherwise, in two phases', () => {
    const driver = started()
    const metadata = {
      labels: [
        { key: 'pool', value: 'pool-hdd' },
        { key: 'iops', value: '5000' },
      ],
    }
    driver.do(() => wantPool(driver.agent, projection({ raw: [raw(1000)], metadata }), driver.now))
    driver.advance(100)
    expect(driver.phases()).toEqual(['before-shrink', 'shrink'])
    expect(driver.told(POOL).metadata).toEqual(metadata)
  })

  it('replaces what is labelled otherwise only when no operation is at it', () => {
    const driver = started()
    driver.do(() => hold(driver.agent, POOL, 'op-1', { kind: 'raw', reservations: ADS, sizeMiB: 300 }))
    const { metadata } = driver.told(POOL)
    driver.do(() => wantPool(driver.agent, projection({ raw: [raw(1000)], metadata: {} }), driver.now))
    driver.advance(100)
    expect(driver.told(POOL).metadata).toEqual(metadata)
    driver.do(() => released(driver.agent, POOL, 'op-1'))
    driver.advance(5000)
    expect(driver.told(POOL).metadata).toEqual({})
  })

  it('takes back what was reserved in another name', () => {
    const driver = started()
    const renamed = ADS.map((level) => ({ ...level, principal: 'other' }))
    driver.do(() => wantRaw(driver.agent, POOL, [raw(1000, renamed)], driver.now))
    driver.advance(100)
    expect(driver.phases()).toEqual(['before-shrink', 'shrink'])
    expect(driver.told(POOL).raw).toEqual([{ reservations: renamed, amount: 1000 }])
  })
})

describe('a disk', () => {
  it('that is wanted otherwise is replaced', () => {
    const driver = started({ disks: [disk('vol-1')] })
    driver.do(() => wantDisks(driver.agent, POOL, [disk('vol-1', { sizeMiB: 200 })], []))
    driver.advance(100)
    expect(driver.phases()).toEqual(['change'])
    expect(driver.told(POOL).disks).toEqual([shownDisk('vol-1', { sizeMiB: 200 })])
  })

  it('that is wanted as it is shown is not told again', () => {
    const driver = started({ disks: [disk('vol-1')] })
    driver.do(() => wantDisks(driver.agent, POOL, [{ ...disk('vol-1'), usedHere: true }], []))
    driver.advance(60_000)
    expect(driver.batches).toEqual([])
  })
})

describe('policies', () => {
  it.each([
    ['never', { shrink: 'never' }],
    ['without the guard', { shrink: 'prompt', guarded: false }],
  ] as const)('%s: a figure does not fall, and a failure for lack of room changes nothing', (_, set) => {
    const driver = started(set)
    want(driver, 500)
    driver.do(() => failedForRoom(driver.agent, POOL, ADS, driver.now))
    driver.advance(60_000)
    expect(driver.batches).toEqual([])
  })

  it('on exhaustion a figure falls after a failure for lack of room, that of its own stack alone', () => {
    const driver = started({ shrink: 'on-exhaustion', raw: [raw(1000), raw(1000, WEB)] })
    want(driver, 500, 500)
    driver.advance(60_000)
    expect(driver.batches).toEqual([])
    driver.do(() => failedForRoom(driver.agent, POOL, WEB, driver.now))
    driver.advance(100)
    expect(driver.phases()).toEqual(['before-shrink', 'shrink'])
    expect(sizes(driver.told(POOL))).toEqual([1000, 500])
    want(driver, 400, 400)
    driver.advance(60_000)
    expect(sizes(driver.told(POOL))).toEqual([1000, 500])
  })

  it('on exhaustion a failure is forgotten after half a minute', () => {
    const driver = started({ shrink: 'on-exhaustion' })
    driver.do(() => failedForRoom(driver.agent, POOL, ADS, driver.now))
    driver.advance(30_001)
    want(driver, 500)
    driver.advance(60_000)
    expect(driver.batches).toEqual([])
  })

  it('without the guard disks come, but stay as they are', () => {
    const driver = started({ guarded: false, disks: [disk('vol-1')] })
    driver.do(() => wantDisks(driver.agent, POOL, [disk('vol-2')], ['vol-1']))
    driver.advance(60_000)
    expect(ids(driver.told(POOL))).toEqual(['vol-1', 'vol-2'])
    driver.do(() => wantDisks(driver.agent, POOL, [disk('vol-2', { sizeMiB: 200 })], []))
    driver.advance(60_000)
    expect(driver.told(POOL).disks.map(({ sizeMiB }) => sizeMiB)).toEqual([100, 100])
  })
})

describe('the end of a pool', () => {
  it('empties its totals, except for what is held', () => {
    const driver = started({ shrink: 'never', disks: [disk('vol-1')], bandwidth: 500 })
    driver.do(() => hold(driver.agent, POOL, 'op-1', { kind: 'raw', reservations: ADS, sizeMiB: 300 }))
    driver.do(() => wantNothing(driver.agent, POOL, driver.now))
    driver.advance(100)
    expect(driver.told(POOL)).toMatchObject({ raw: [{ amount: 300 }], disks: [], bandwidth: [] })
    driver.do(() => released(driver.agent, POOL, 'op-1'))
    driver.advance(5000)
    expect(driver.told(POOL)).toMatchObject({ raw: [], disks: [], bandwidth: [] })
  })

  it('can be followed by one more version, for offers that were under way', () => {
    const driver = started()
    driver.do(() => wantNothing(driver.agent, POOL, driver.now))
    driver.advance(5000)
    const { version } = driver.told(POOL)
    driver.batches.length = 0
    driver.agent.batches.length = 0
    wantNewVersion(driver.agent, POOL)
    expect(plan(driver.agent, driver.now).updates).toMatchObject([{ shown: { version: version + 1, raw: [] } }])
  })
})

describe('bandwidth', () => {
  it('is one more figure, and what a framework has reserved of it stays reserved', () => {
    const driver = started({ bandwidth: 1000 })
    const moved = { kind: 'moved', what: 'bandwidth', from: [], to: WEB, amount: 300 } as const
    driver.speculate(POOL, (shown) => convert(shown, moved))
    driver.do(() => converted(driver.agent, POOL, 'op-1', moved, driver.now))
    driver.do(() => recorded(driver.agent, POOL, 'op-1', driver.now))
    driver.advance(3000)
    driver.do(() => heard(driver.agent, driver.now))
    driver.advance(60_000)
    expect(driver.batches).toEqual([])
    driver.do(() => wantPool(driver.agent, projection({ raw: [raw(1000)], bandwidth: 500 }), driver.now))
    driver.advance(100)
    expect(
      driver
        .told(POOL)
        .bandwidth.map(({ amount }) => amount)
        .sort(),
    ).toEqual([200, 300])
  })
})
