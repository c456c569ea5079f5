import { expect, it } from 'vitest'
import { PROFILES } from '../../src/simulate/profiles.ts'
import { simulate } from '../../src/simulate/simulation.ts'

it.each(PROFILES.map(({ name }) => name))('under the profile %s enough happens to be worth it', async (profile) => {
  const { violation, actions, revision, events } = await simulate({ seed: 1, profile })
  expect(violation).toBeUndefined()
  expect(actions).toBeGreaterThan(10)
  expect(revision).toBeGreaterThan(100)
  expect(events).toBeGreaterThan(2000)
})

it('refuses a profile that there is none of', async () => {
  await expect(simulate({ seed: 1, profile: 'none' })).rejects.toThrow('there is no profile none')
})
