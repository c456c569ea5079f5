import { expect, test } from 'vitest'
import { simulate } from '../../src/simulate/simulation.ts'

test('the same seed gives the same run, to the last line', async () => {
  const once = await simulate({ seed: 4 })
  const again = await simulate({ seed: 4 })
  expect(again).toEqual(once)
  expect(once.events).toBeGreaterThan(1000)
  expect((await simulate({ seed: 5 })).digest).not.toBe(once.digest)
})
