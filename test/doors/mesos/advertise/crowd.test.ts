import { describe, expect, it } from 'vitest'
import { scaled } from '../../../support/scale.ts'
import { Crowd } from './support/crowd.ts'

const MINUTE = 60_000

describe('a thousand agents on one pool', { timeout: scaled(120_000) }, () => {
  it('are told at most twice in two seconds in a busy quarter of an hour, and then all show what is free', () => {
    const crowd = new Crowd({ agents: 1000, takesPerSecond: 50, capacityMiB: 1_000_000_000, livesMs: 20_000, seed: 1 })
    crowd.run(scaled(15 * MINUTE), true)
    const seconds = crowd.now / 1000
    const mean = crowd.batches / crowd.members.length / seconds
    console.log(`${crowd.takes} takes (${crowd.refused} refused): ${mean.toFixed(3)} updates a second and agent`)
    expect(crowd.broken).toBe(0)
    expect(mean).toBeLessThan(1)
    crowd.run(40_000, false)
    const free = crowd.free
    expect(crowd.members.filter((member) => crowd.shown(member) !== free)).toEqual([])
    const said = crowd.batches
    crowd.run(120_000, false)
    expect(crowd.batches).toBe(said)
  })
})
