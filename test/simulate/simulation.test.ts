import { describe, expect, it } from 'vitest'
import { simulate } from '../../src/simulate/simulation.ts'
import { scaled } from '../support/scale.ts'

const SEEDS = scaled(1000)
const CHUNK = 25
const LAST_LINES = 60

/** Runs a seed; what it finds is told with all that is needed to look at it. */
async function run(seed: number): Promise<void> {
  const { violation, lines, profile } = await simulate({ seed })
  if (violation === undefined) return
  const trace = lines.slice(-LAST_LINES).join('\n')
  throw new Error(
    `seed ${seed} (${profile}): ${violation}\n${trace}\nto see all of it: node scripts/simulate.ts --seed ${seed} --trace`,
  )
}

describe('the whole system under a seed', () => {
  const chunks = Array.from({ length: Math.ceil(SEEDS / CHUNK) }, (_, index) => index * CHUNK + 1)

  it.each(chunks)('keeps every invariant and comes to rest, seeds from %i', async (first) => {
    for (let seed = first; seed < first + CHUNK && seed <= SEEDS; seed += 1) await run(seed)
  })

  it('gives the same trace for the same seed, and another one for another', async () => {
    const digests = new Set<string>()
    for (let seed = 1; seed <= 5; seed += 1) {
      const [first, second] = [await simulate({ seed }), await simulate({ seed })]
      expect({ ...second }).toEqual({ ...first })
      digests.add(first.digest)
    }
    expect(digests.size).toBe(5)
  })

  it('does enough in every run to be worth it', async () => {
    const { actions, revision, events } = await simulate({ seed: 1, profile: 'rough' })
    expect(actions).toBeGreaterThan(60)
    expect(revision).toBeGreaterThan(150)
    expect(events).toBeGreaterThan(2000)
  })

  it('refuses a profile that there is none of', async () => {
    await expect(simulate({ seed: 1, profile: 'none' })).rejects.toThrow('there is no profile none')
  })
})
