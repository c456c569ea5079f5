import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../../ledger/support/random.ts'
import { scaled } from '../../../support/scale.ts'
import { type Policy, World } from './support/world.ts'

const lives = fc.record({ seed: fc.noBias(fc.nat()), steps: fc.nat(400) })

function live(seed: number, steps: number, policy: Policy): World {
  const world = new World(new Random(seed), policy)
  for (let step = 0; step < steps; step += 1) world.step()
  world.settle()
  return world
}

function saysNothingMore(world: World): void {
  const said = world.driver.batches.length
  world.advance(60_000)
  world.sayAgain()
  world.advance(120_000)
  expect(world.driver.batches.length).toBe(said)
}

// The driver holds every batch against the rules: at most two in a closed window of 2 s but for ends of operations,
// figures that fall in two phases and by policy, new versions for what is new, what is held. The world holds the
// figures against what was ever free.
describe('what an agent is told in a random life', { timeout: scaled(60_000) }, () => {
  it('converges to what is free under `prompt`, and is not repeated', () => {
    const property = fc.property(lives, ({ seed, steps }) => {
      const world = live(seed, steps, { shrink: 'prompt', guarded: true })
      for (const [poolId, { free }] of world.truth) {
        expect(world.figures(poolId)).toEqual([free, Math.min(free, 3333)])
        const { shown, wanted } = world.disks(poolId)
        expect(shown).toEqual(wanted)
      }
      saysNothingMore(world)
    })
    fc.assert(property, { numRuns: scaled(150) })
  })

  it.each<Policy>([
    { shrink: 'never', guarded: true },
    { shrink: 'on-exhaustion', guarded: true },
    { shrink: 'prompt', guarded: false },
  ])('never falls but by operations and failures under %j, and shows what is free at least', (policy) => {
    const property = fc.property(lives, ({ seed, steps }) => {
      const world = live(seed, steps, policy)
      for (const [poolId, { free }] of world.truth) {
        const [ads = 0, web = 0] = world.figures(poolId)
        expect(ads).toBeGreaterThanOrEqual(free)
        expect(web).toBeGreaterThanOrEqual(Math.min(free, 3333))
        const { shown, wanted } = world.disks(poolId)
        expect(shown).toEqual(policy.guarded ? wanted : expect.arrayContaining(wanted))
      }
      saysNothingMore(world)
    })
    fc.assert(property, { numRuns: scaled(70) })
  })
})
