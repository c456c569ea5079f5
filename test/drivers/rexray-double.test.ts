/** The double against the recorded session of REX-Ray 0.11.4: what it answers is what REX-Ray answered. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RexrayDouble } from '../support/rexray/rexray-double.ts'

const CAPTURES = join(import.meta.dirname, '../support/rexray/captures')
/** Of these only the exit code was kept. */
const NOT_KEPT = new Set(['03-device-ls'])

let double: RexrayDouble
beforeEach(() => {
  double = new RexrayDouble()
})
afterEach(() => double.dispose())

function recorded(): { name: string; code: number; words: string[] }[] {
  const lines = readFileSync(join(CAPTURES, 'index.tsv'), 'utf8').trim().split('\n')
  return lines.map((line) => {
    const [name = '', code = '', , command = ''] = line.split('\t')
    return { name, code: Number(code.replace('rc=', '')), words: command.split(' ').slice(1) }
  })
}

function kept(name: string): string {
  return existsSync(join(CAPTURES, name)) ? readFileSync(join(CAPTURES, name), 'utf8') : ''
}

function timeless(text: string): string {
  return text.replace(/time="[^"]*"/, 'time="…"').trimEnd()
}

test('the recorded session is answered byte for byte, but for the time of messages', () => {
  const session = recorded()
  expect(session).toHaveLength(39)
  for (const { name, code, words } of session) {
    const answer = spawnSync(double.program, words, { encoding: 'utf8' })
    expect({ name, code: answer.status }).toEqual({ name, code })
    if (NOT_KEPT.has(name)) continue
    expect({ name, stdout: answer.stdout }).toEqual({ name, stdout: kept(`${name}.json`) })
    expect({ name, stderr: timeless(answer.stderr) }).toEqual({ name, stderr: timeless(kept(`${name}.err`)) })
  }
  expect(double.calls()).toEqual(session.map(({ words }) => words.join(' ')))
})

test('what it does not know is answered with a usage text and exit code 0, as by the original', () => {
  for (const words of [['volume', 'shrink'], ['volumes'], ['volume', 'attach', '--now', 'a'], ['volume', 'rm', '-x']]) {
    const { status, stdout, stderr } = spawnSync(double.program, words, { encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
    expect(stderr).toMatch(/^Error: unknown (command|flag)/)
  }
})

test('the beginning of a name is enough for it to act on a volume, if it is the only one', () => {
  const rexray = (...words: string[]) =>
    execFileSync(double.program, ['volume', ...words, '--format', 'json'], { encoding: 'utf8', stdio: 'pipe' })
  rexray('create', 'database-1', '--size', '1')
  expect(rexray('attach', 'data')).toContain('"name":"database-1"')
  rexray('detach', 'DATA')
  rexray('create', 'database-2', '--size', '1')
  expect(() => rexray('attach', 'data')).toThrow(/no volumes found/)
  expect(() => rexray('rm', 'database')).toThrow(/no volumes found/)
  expect(JSON.parse(rexray('rm', '/^database-.$/'))).toEqual(['database-1', 'database-2'])
})
