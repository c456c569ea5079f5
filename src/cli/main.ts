import type { CommanderError } from 'commander'
import { report } from './errors.ts'
import { note, quitWhenNobodyReads, say } from './terminal.ts'

quitWhenNobodyReads()
process.exitCode = await main(process.argv.slice(2))

/** Runs one command. @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  if (args[0] === '__complete') {
    const { complete } = await import('./complete.ts')
    return complete(args.slice(args[1] === '--' ? 2 : 1))
  }
  if (args[0] === '__docs') {
    const { cliReference } = await import('./docs.ts')
    say(await cliReference())
    return 0
  }
  const { buildProgram, commandOf, pathOf } = await import('./program.ts')
  try {
    const program = await buildProgram(args)
    try {
      await program.parseAsync(args, { from: 'user' })
      return Number(process.exitCode ?? 0)
    } catch (thrown) {
      if (isUsage(thrown)) return usage(thrown, pathOf(commandOf(program, args)))
      throw thrown
    }
  } catch (thrown) {
    return report(thrown)
  }
}

function isUsage(thrown: unknown): thrown is CommanderError {
  return (
    thrown instanceof Error && 'exitCode' in thrown && 'code' in thrown && String(thrown.code).startsWith('commander.')
  )
}

/** What the parser of arguments has to say: help and version are no errors, all else is one of usage. */
function usage(error: CommanderError, path: string): number {
  if (error.exitCode === 0) return 0
  if (error.code === 'commander.help') return 2
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n')
  const hint = more.join(' ').replace(/^\(Did you mean (.*)\?\)$/, '; did you mean $1?')
  note(`holdfast: ${first}${hint}\n  see: ${path} --help\n`)
  return 2
}
