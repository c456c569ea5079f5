import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { PLANTS } from '../../scripts/plants.ts'

const top = fileURLToPath(new URL('../../', import.meta.url))
/** The kinds of mistakes that must never slip through. */
const SURE = ['epoch-unchecked', 'answer-before-commit', 'moved-without-proof']

describe('mistakes that are planted into the program', () => {
  it.each(PLANTS)('$name still has its place in the source', ({ changes }) => {
    for (const { file, from } of changes) expect(readFileSync(`${top}${file}`, 'utf8')).toContain(from)
  })

  it.each(SURE)('%s is found by the simulation', async (name) => {
    const args = ['scripts/plant-bugs.ts', '--child', name, '--seeds', '400', '--first']
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: top })
    expect(JSON.parse(stdout)).toMatchObject({ found: 1 })
  })
})
