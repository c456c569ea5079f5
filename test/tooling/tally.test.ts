import { spawnSync } from 'node:child_process'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { testDir } from '../support/temp-dir.ts'

const top = join(import.meta.dirname, '../..')

/** Runs vitest on these files with the reporter of ./check. */
function tally(files: Record<string, string>): { counts: string; skipped: string } {
  const dir = testDir()
  symlinkSync(join(top, 'node_modules'), join(dir, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(dir, name), `import { beforeAll, describe, expect, test } from 'vitest'\n${text}\n`)
  }
  const file = join(dir, 'tally')
  const vitest = join(top, 'node_modules/vitest/vitest.mjs')
  const reporter = join(top, 'scripts/tally-reporter.ts')
  const env = { ...process.env, HOLDFAST_TALLY: file, HOLDFAST_MISSING: 'dockerd' }
  spawnSync(process.execPath, [vitest, 'run', '--root', dir, `--reporter=${reporter}`], { env, stdio: 'ignore' })
  return { counts: readFileSync(file, 'utf8'), skipped: readFileSync(`${file}.skipped`, 'utf8') }
}

test('passed, failed and skipped tests are counted, the skipped ones with their reason', () => {
  const missing = join(top, 'test/support/missing.ts')
  const { counts, skipped } = tally({
    'a.test.ts': `import { needs } from '${missing}'
      test('good', () => {})
      test('bad', () => expect(1).toBe(2))
      test.skip('bare', () => {})
      test('noted', ({ skip }) => skip('no network'))
      needs('dockerd', 'sh').test('container', () => {})
      needs('sh').describe('group', () => { test('there', () => {}) })`,
  })
  expect(counts).toBe('2 1 3\n')
  expect(skipped.split('\n')).toEqual([
    '  - a.test.ts: bare (no reason given)',
    '  - a.test.ts: noted (no network)',
    '  - a.test.ts: container (needs dockerd)',
    '',
  ])
})

test('a file that does not load, a hook that fails and an error outside of tests count as failures', () => {
  const { counts } = tally({
    'load.test.ts': "throw new Error('does not load')",
    'hook.test.ts': "describe('x', () => { beforeAll(() => { throw new Error('hook') }); test('never', () => {}) })",
    'stray.test.ts': "test('fine', () => { setTimeout(() => { throw new Error('stray') }, 0) })",
  })
  expect(counts).toMatch(/^1 3 /)
})
