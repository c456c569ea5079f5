import { closeSync, ftruncateSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isAllHole } from '../../src/programs/file-holes.ts'
import { createPrograms } from '../../src/programs/run.ts'
import { testDir } from '../support/temp-dir.ts'

const BYTES = 64 * 1024 * 1024
const signal = AbortSignal.timeout(1_000_000_000)
const programs = createPrograms()

for (const [how, with_] of [
  ['by its first data', programs],
  ['by reading all of it', { ...programs, installed: () => false }],
] as const) {
  test(`a file that was never written to is told from one that was, ${how}`, async () => {
    const path = join(testDir(), 'a file')
    writeFileSync(path, '')
    truncateSync(path, BYTES)
    expect(await isAllHole(with_, path, BYTES, signal)).toBe(true)
    const file = openSync(path, 'r+')
    writeSync(file, Buffer.from('x'), 0, 1, BYTES - 1)
    ftruncateSync(file, BYTES)
    closeSync(file)
    expect(await isAllHole(with_, path, BYTES, signal)).toBe(false)
  })
}
