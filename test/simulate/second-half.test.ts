import { test } from 'vitest'
import { scaled } from '../support/scale.ts'
import { runSeeds } from './support/seeds.ts'

// the other half is in a file of its own, so that two cores share the work
test('every invariant holds under the second half of the seeds', () => runSeeds(1000001, scaled(500)), scaled(900_000))
