import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningDev, runDev } from '../../src/cli/dev.ts'
import { createLog } from '../../src/controller/http/log.ts'
import { needs } from '../support/missing.ts'
import { type TempDir, tempDir } from '../support/temp-dir.ts'
import { holdfast, type Ran } from './holdfast.ts'

needs('root', 'loop-devices', 'mkfs.ext4').describe('a script without any orchestrator', () => {
  let directory: TempDir
  let dev: RunningDev

  beforeAll(async () => {
    directory = tempDir()
    dev = await runDev({ dir: directory.path, nodes: 2, poolSizeMiB: 1024, docker: 'off', log: createLog('silent') })
  }, 60_000)
  afterAll(async () => {
    await dev?.stop()
    directory?.remove()
  }, 60_000)

  /** Runs the program on the machine of a node, the first one if not told. */
  function on(machine: 1 | 2, ...words: string[]): Promise<Ran> {
    const socket = dev.nodes[machine - 1]?.socket ?? ''
    return holdfast(words, { HOLDFAST_API: dev.api, HOLDFAST_TOKEN: dev.token, HOLDFAST_NODE_SOCKET: socket })
  }

  test('allocates and formats a volume, and mounts what is there already for a task', async () => {
    expect((await on(1, 'volume', 'create', 'reports', '--size', '64MiB')).code).toBe(0)
    const first = await on(1, 'volume', 'mount', 'reports')
    expect(first).toMatchObject({ code: 0, err: '' })
    const path = first.out.trimEnd()
    expect(first.out).toBe(`${path}\n`)
    writeFileSync(join(path, 'last-run'), 'monday')
    // again for the same user is the same mount, and one unmount ends it
    expect((await on(1, 'volume', 'mount', 'reports', '-o', 'json')).out).toBe(
      `${JSON.stringify({ volume: 'reports', path }, null, 2)}\n`,
    )
    const elsewhere = await on(2, 'volume', 'mount', 'reports')
    expect(elsewhere.code).toBe(5)
    expect(elsewhere.err).toContain('node-1')
    expect(await on(1, 'volume', 'unmount', 'reports')).toMatchObject({ code: 0, out: '' })
    const second = await on(2, 'volume', 'mount', 'reports', '--mode', 'ro', '--user', 'reader')
    expect(readFileSync(join(second.out.trimEnd(), 'last-run'), 'utf8')).toBe('monday')
    expect(() => writeFileSync(join(second.out.trimEnd(), 'x'), '')).toThrow(/EROFS/)
    const shown = JSON.parse((await on(1, 'volume', 'show', 'reports', '-o', 'json')).out)
    expect(shown.attachments).toMatchObject([{ node: 'node-2', users: [{ door: 'rest', id: 'reader' }] }])
    await on(2, 'volume', 'unmount', 'reports', '--user', 'reader')
    // of what was never mounted nothing is left to do
    expect((await on(2, 'volume', 'unmount', 'reports')).code).toBe(0)
  })

  test('is told what is wrong', async () => {
    const refusals: [words: string[], code: number, why: RegExp][] = [
      [['volume', 'mount', 'nothing'], 4, /nothing/],
      [['volume', 'mount', 'reports', '--at', '/etc/reports'], 6, /allowed root/],
      [['volume', 'mount', 'reports', '--at', '../reports'], 6, /allowed root/],
      [['volume', 'mount', 'reports', '--user', 'a b'], 2, /user.id/],
      [['volume', 'mount', 'reports', '--mode', 'rx'], 2, /rw, ro/],
      [['volume', 'mount', 'reports', '--timeout', 'soon'], 2, /--timeout/],
      [
        ['volume', 'mount', 'reports', '--node-socket', '/nowhere/node.sock'],
        1,
        /node daemon does not answer at \/nowhere/,
      ],
      [['volume', 'mount'], 2, /volume/],
    ]
    for (const [words, code, why] of refusals) {
      const ran = await on(1, ...words)
      expect([words.join(' '), ran.code, ran.out]).toEqual([words.join(' '), code, ''])
      expect(ran.err).toMatch(why)
    }
  })
})
