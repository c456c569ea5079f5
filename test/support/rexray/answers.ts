/** One call of the double, with what is planned to go wrong. */
import { Misunderstood, parse } from './arguments.ts'
import { type Answer, Commands } from './commands.ts'
import { type Fault, noteCall, readState, withState } from './state.ts'

/**
 * @param directory where its state is
 * @param machine on which it runs
 * @returns what it prints and how it ends, if it does
 */
export function answerTo(words: readonly string[], directory: string, machine: string): Answer | 'hang' {
  noteCall(directory, words)
  const fault = takeFault(directory, words)
  const answer = fault === undefined || fault.after === true ? perform(words, directory, machine) : undefined
  if (fault === undefined) return answer ?? { code: 0 }
  const { what, text = '' } = fault
  if (what === 'hang') return what
  return what === 'fail' ? { stderr: text, code: 1 } : { stdout: text, code: 0 }
}

function perform(words: readonly string[], directory: string, machine: string): Answer {
  try {
    const call = parse(words, readState(directory).options.grammar)
    return withState(directory, (state) => new Commands(directory, state, machine).run(call))
  } catch (thrown) {
    // cobra prints its usage, and REX-Ray does not look whether it did
    if (thrown instanceof Misunderstood) return { stderr: thrown.message, code: 0 }
    throw thrown
  }
}

function takeFault(directory: string, words: readonly string[]): Fault | undefined {
  const matches = (fault: Fault) => fault.times > 0 && new RegExp(fault.match).test(words.join(' '))
  if (!readState(directory).faults.some(matches)) return undefined
  return withState(directory, (state) => {
    const fault = state.faults.find(matches)
    if (fault !== undefined) fault.times -= 1
    return fault
  })
}
