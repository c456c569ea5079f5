/**
 * Runs the deterministic simulation by hand; see docs/simulation.md.
 *
 *   node scripts/simulate.ts [--seed N] [--seeds A..B] [--profile P] [--trace]
 */
import { parseArgs } from 'node:util'
import { simulate } from '../src/simulate/simulation.ts'

const LAST_LINES = 60

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    profile: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
})
const [first = 1, last = first] = (values.seeds ?? values.seed ?? '1..100').split('..').map(Number)
const began = Date.now()
let events = 0
let failed = 0
for (let seed = first; seed <= last; seed += 1) {
  const onLine = values.trace ? (line: string) => console.log(line) : undefined
  const result = await simulate({ seed, profile: values.profile, onLine })
  events += result.events
  if (first === last) console.log({ ...result, lines: result.lines.length })
  if (result.violation === undefined) continue
  failed += 1
  console.log(`seed ${seed} (${result.profile}, ${(result.time / 1000).toFixed(1)} s): ${result.violation}`)
  if (!values.trace && first === last) console.log(result.lines.slice(-LAST_LINES).join('\n'))
}
const seconds = (Date.now() - began) / 1000
const count = last - first + 1
console.log(
  `${count} seeds, ${failed} failed, ${(count / seconds).toFixed(1)} seeds/s, ${Math.round(events / count)} events each`,
)
process.exitCode = failed === 0 ? 0 : 1
