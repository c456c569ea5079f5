import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Script } from './support/script.ts'

const folder = join(import.meta.dirname, 'scenarios')

/**
 * Scripts with their expected log: commands, `----`, what came of them, an empty line. `UPDATE=1` writes the log anew;
 * read the difference before you keep it.
 */
function replay(text: string): string {
  const script = new Script()
  const blocks = text.split(/\n\n+/).map((block) => block.trim())
  const written = blocks.map((block) => {
    const [commands = ''] = block.split('\n----')
    const lines = commands.split('\n').filter((line) => line !== '')
    const runnable = lines.filter((line) => !line.startsWith('#'))
    if (runnable.length === 0) return block
    const log = runnable.flatMap((line) => script.run(line))
    return [...lines, '----', ...log].join('\n')
  })
  return `${written.join('\n\n')}\n`
}

describe('scenarios', () => {
  for (const file of readdirSync(folder).sort()) {
    it(`goes as written: ${file.replace('.txt', '').replaceAll('-', ' ')}`, () => {
      const path = join(folder, file)
      const text = readFileSync(path, 'utf8')
      const replayed = replay(text)
      if (process.env.UPDATE === '1') writeFileSync(path, replayed)
      else expect(replayed).toBe(text)
    })
  }
})
