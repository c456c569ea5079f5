// Changes the ledger in one small place at a time and runs its tests on each changed copy: every change must make a
// test fail. Run by hand: `node scripts/mutate-ledger.ts [PART OF A NAME]`. Exits 1 if a change survived.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LEDGER_MUTATIONS } from './mutations/ledger.ts'
import { MESOS_MUTATIONS } from './mutations/mesos.ts'
import type { Mutation } from './mutations/mutation.ts'

const MUTATIONS: readonly Mutation[] = [...LEDGER_MUTATIONS, ...MESOS_MUTATIONS]

const top = join(import.meta.dirname, '..')
const wanted = process.argv[2] ?? ''
const survivors: string[] = []

for (const mutation of MUTATIONS.filter((each) => each.name.includes(wanted))) {
  const started = Date.now()
  const killed = isKilled(mutation)
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  console.log(`${killed ? 'killed  ' : 'SURVIVED'} ${seconds.padStart(6)} s  ${mutation.name}`)
  if (!killed) survivors.push(mutation.name)
}
console.log(`${survivors.length} survived`)
process.exitCode = survivors.length === 0 ? 0 : 1

/** Whether the tests of the pure core fail on a copy of the tree with this change. */
function isKilled({ name, file, from, to }: Mutation): boolean {
  const copy = mkdtempSync(join(tmpdir(), 'hf-mutant-'))
  try {
    for (const part of ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
      cpSync(join(top, part), join(copy, part), { recursive: true })
    }
    symlinkSync(join(top, 'node_modules'), join(copy, 'node_modules'))
    const path = join(copy, 'src', file)
    const text = readFileSync(path, 'utf8')
    if (text.split(from).length !== 2) throw new Error(`${name}: ${file} does not have this exactly once: ${from}`)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
    const vitest = join(copy, 'node_modules/vitest/vitest.mjs')
    const args = [vitest, 'run', '--project', 'pure', '--bail', '1', '--reporter', 'dot']
    const run = spawnSync(process.execPath, args, {
      cwd: copy,
      env: { ...process.env, HOLDFAST_NO_SHRINK: '1' },
      stdio: process.env.SHOW === undefined ? 'ignore' : 'inherit',
      timeout: 10 * 60_000,
    })
    return run.status !== 0
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
