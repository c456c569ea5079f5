import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scaled } from '../support/scale.ts'
import { KINDS, WEIGHTED } from './support/commands.ts'
import { LedgerRun, type Step } from './support/ledger-run.ts'
import { Random } from './support/random.ts'

/** How often each kind of command was accepted and refused, over all runs of this file. */
const tally = new Map<string, { accepted: number; refused: number; codes: Map<string, number> }>()

function run(steps: readonly Step[]): void {
  const ledger = new LedgerRun((kind, decision) => {
    const entry = tally.get(kind) ?? { accepted: 0, refused: 0, codes: new Map<string, number>() }
    tally.set(kind, entry)
    if (!decision.ok) {
      entry.refused += 1
      entry.codes.set(decision.error.code, (entry.codes.get(decision.error.code) ?? 0) + 1)
    } else if (decision.event !== undefined) entry.accepted += 1
  })
  for (const step of steps) ledger.step(step)
  ledger.finish()
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...WEIGHTED),
  seed: fc.noBias(fc.nat()),
})

// generous: what counts is the work, and machines are shared
describe('the ledger under random commands', { timeout: scaled(300_000) }, () => {
  it.each([1, 2, 3, 4])('keeps every invariant after every step of long life %i', (life) => {
    const random = new Random(life)
    const steps = Array.from({ length: scaled(2500) }, () => ({
      kind: random.pick(WEIGHTED) ?? 'clock.tick',
      seed: random.int(0, 2 ** 31),
    }))
    run(steps)
  })

  it('keeps every invariant in many short lives', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 300, size: 'max' }), run), {
      numRuns: scaled(250),
      endOnFailure: process.env.HOLDFAST_NO_SHRINK !== undefined,
      // what was found is told, however long it would take to make it small
      interruptAfterTimeLimit: scaled(200_000),
      markInterruptAsFailure: true,
    })
  })

  it('has accepted every kind of command', () => {
    if (process.env.TALLY !== undefined) console.table(table())
    const never = KINDS.filter((kind) => (tally.get(kind)?.accepted ?? 0) === 0)
    expect(never).toEqual([])
    const totals = [...tally.values()]
    const accepted = totals.reduce((sum, each) => sum + each.accepted, 0)
    const refused = totals.reduce((sum, each) => sum + each.refused, 0)
    expect(accepted / (accepted + refused)).toBeGreaterThan(0.4)
  })
})

function table() {
  return Object.fromEntries(
    KINDS.map((kind) => {
      const { accepted = 0, refused = 0, codes = new Map<string, number>() } = tally.get(kind) ?? {}
      return [kind, { accepted, refused, codes: [...codes].map(([code, count]) => `${code} ${count}`).join(', ') }]
    }),
  )
}
