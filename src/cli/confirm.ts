import { HoldfastError } from '../model/errors.ts'
import type { GlobalOptions } from './cli.ts'
import { Interrupted } from './errors.ts'
import { printable } from './table.ts'
import { canAsk, note } from './terminal.ts'

/**
 * Asks before something is destroyed, if somebody is there. Where nobody is, `must` says whether `--yes` is needed.
 * @throws Interrupted when the answer is not yes
 */
export async function confirm(options: GlobalOptions, question: string, must: 'must' | 'may'): Promise<void> {
  if (options.yes === true) return
  if (!canAsk()) {
    if (must === 'may') return
    throw new HoldfastError(
      'invalid_option',
      `${printable(question)} Nobody can be asked here: say --yes if you mean it.`,
    )
  }
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const stop = new AbortController()
  lines.once('SIGINT', () => stop.abort())
  lines.once('close', () => stop.abort())
  try {
    const answer = await lines.question(`${printable(question)} [y/N] `, { signal: stop.signal })
    if (/^y(es)?$/i.test(answer.trim())) return
  } catch {
    note('\n')
  } finally {
    lines.close()
  }
  note('Nothing was done.\n')
  throw new Interrupted()
}
