import { expect } from 'vitest'
import { simulate } from '../../../src/simulate/simulation.ts'

/** Runs seeds, and fails with the first one that shows something wrong, and how to see it again. */
export async function runSeeds(first: number, count: number, without: readonly number[] = []): Promise<void> {
  for (let seed = first; seed < first + count; seed += 1) {
    if (without.includes(seed)) continue
    const { violation, profile, lines } = await simulate({ seed })
    const again = `node scripts/simulate.ts --seed ${seed} --trace`
    expect(
      violation,
      `seed ${seed} (${profile}); see it with: ${again}\n${lines.slice(-40).join('\n')}`,
    ).toBeUndefined()
  }
}
