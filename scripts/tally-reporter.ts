/**
 * A vitest reporter for ./check: writes `passed failed skipped` to the file in HOLDFAST_TALLY and the skipped tests,
 * each with its reason, to that name with `.skipped`. A file that could not be loaded and an error outside every
 * test count as one failure each, so that no run with a problem looks clean.
 */
import { writeFileSync } from 'node:fs'
import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node'

interface Tally {
  passed: number
  failed: number
  skipped: string[]
}

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env.HOLDFAST_TALLY
    if (file === undefined) return
    const tally: Tally = { passed: 0, failed: unhandled.length, skipped: [] }
    for (const module of modules) count(module, tally)
    writeFileSync(`${file}.skipped`, tally.skipped.map((line) => `  - ${line}\n`).join(''))
    writeFileSync(file, `${tally.passed} ${tally.failed} ${tally.skipped.length}\n`)
  }
}

function count(module: TestModule, tally: Tally): void {
  const failedBefore = tally.failed
  for (const test of module.children.allTests()) {
    const state = test.result().state
    if (state === 'passed') tally.passed++
    else if (state === 'skipped') tally.skipped.push(`${module.relativeModuleId}: ${test.fullName}${reason(test)}`)
    // 'pending' at the end means that it never got to run
    else tally.failed++
  }
  // A hook or an import that failed shows in no test.
  if (tally.failed === failedBefore && !module.ok()) tally.failed++
}

function reason(test: TestCase): string {
  const result = test.result()
  const note = result.state === 'skipped' ? result.note : undefined
  if (note !== undefined) return ` (${note})`
  return /\(needs [^)]+\)/.test(test.fullName) ? '' : ' (no reason given)'
}
