import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openSqliteStore } from '../../../src/store/sqlite/open.ts'
import { needs } from '../../support/missing.ts'
import { scaled } from '../../support/scale.ts'
import { testDir } from '../../support/temp-dir.ts'
import { type Loaded, loadAll } from '../contract.ts'
import { ChildWriter, writerArguments } from './support/children.ts'

type Step = 'log written' | 'log synced' | 'answered'

/** The steps that a trace shows, in the order in which the calls *returned*, of writing from the first answer on. */
function stepsOf(trace: string): Step[] {
  const steps: Step[] = []
  const unfinished = new Map<string, string>()
  for (const line of trace.split('\n')) {
    const [, pid, rest] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (pid === undefined || rest === undefined) continue
    if (rest.endsWith('<unfinished ...>')) {
      unfinished.set(pid, rest)
      continue
    }
    const resumed = rest.startsWith('<... ')
    const step = stepOf(resumed ? `${unfinished.get(pid)} ${rest}` : rest)
    if (step !== undefined) steps.push(step)
  }
  return steps
}

function stepOf(call: string): Step | undefined {
  if (/^p?write(64)?\(\d+<[^>]*-wal>.*= \d+$/.test(call)) return 'log written'
  if (/^f(data)?sync\(\d+<[^>]*-wal>.*= 0$/.test(call)) return 'log synced'
  if (/^write\(1<[^>]*>, "ack /.test(call)) return 'answered'
  return undefined
}

needs('strace').describe('durability, as the kernel saw it', () => {
  test('every answer comes after its batch was written to the log and the log was synced', () => {
    const directory = testDir()
    const trace = join(testDir(), 'trace')
    const commits = 30
    execFileSync('strace', [
      ...['-f', '-y', '-s', '16', '-e', 'trace=fsync,fdatasync,write,pwrite64', '-o', trace],
      ...[process.execPath, ...writerArguments(directory, commits)],
    ])
    const steps = stepsOf(readFileSync(trace, 'utf8'))
    const answers = steps.flatMap((step, i) => (step === 'answered' ? [i] : []))
    expect(answers).toHaveLength(commits)
    answers.forEach((answer, i) => {
      const since = steps.slice(answers[i - 1] ?? 0, answer)
      const written = since.lastIndexOf('log written')
      expect(written, `batch ${i + 1} was written`).toBeGreaterThan(-1)
      expect(since.lastIndexOf('log synced'), `batch ${i + 1} was synced after its last write`).toBeGreaterThan(written)
    })
  })

  test('the new file and its directory are synced when the store is made', () => {
    const directory = join(testDir(), 'state')
    const trace = join(testDir(), 'trace')
    execFileSync('strace', [
      ...['-f', '-y', '-e', 'trace=fsync,rename,renameat,renameat2', '-o', trace],
      ...[process.execPath, ...writerArguments(directory, 1)],
    ])
    const lines = readFileSync(trace, 'utf8').split('\n')
    const find = (pattern: RegExp, from = 0) => lines.findIndex((line, i) => i >= from && pattern.test(line))
    const draft = find(/fsync\(\d+<[^>]*holdfast\.db\.new>/)
    const renamed = find(/rename.*holdfast\.db\.new/, draft)
    const named = find(new RegExp(`fsync\\(\\d+<${directory}>`), renamed)
    expect(find(new RegExp(`fsync\\(\\d+<${join(directory, '..')}>`)), 'the parent').toBeGreaterThan(-1)
    expect(draft, 'the file').toBeGreaterThan(-1)
    expect(renamed, 'the rename').toBeGreaterThan(draft)
    expect(named, 'the directory').toBeGreaterThan(renamed)
  })
})

describe('a process killed at any moment', () => {
  /** Checks that the records and events are those of `head.revision` whole batches of the chained writer. */
  function expectWhole({ head, records }: Loaded, events: readonly number[]): void {
    const n = head.revision
    const numbers = Array.from({ length: n }, (_, i) => i + 1)
    expect(events).toEqual(numbers)
    const of = (kind: string) => records.filter((record) => record.kind === kind)
    expect(new Set(of('log').map((record) => record.id))).toEqual(new Set(numbers.map((i) => `log-${i}`)))
    expect(of('tmp').map((record) => record.id)).toEqual([`tmp-${n}`])
    expect(of('same').map((record) => JSON.parse(record.json).n)).toEqual(Array.from({ length: 10 }, () => n))
  }

  test('keeps every acknowledged batch, and none by half', async () => {
    const directory = testDir()
    let term = 0
    for (let round = 0; round < scaled(20); round += 1) {
      const child = new ChildWriter(directory)
      await child.leading()
      await child.acknowledge(1 + Math.floor(Math.random() * 150))
      await child.kill()

      const store = await openSqliteStore({ directory })
      const loaded = await loadAll(store)
      const page = await store.events(0, Number.MAX_SAFE_INTEGER)
      await store.close()
      expect(loaded.head.term).toBe(++term)
      expect(loaded.head.revision).toBeGreaterThanOrEqual(child.acknowledged)
      expect(loaded.head.revision, 'at most one batch was under way').toBeLessThanOrEqual(child.acknowledged + 1)
      expectWhole(
        loaded,
        page.events.map((event) => event.revision),
      )
    }
  })
})
