/**
 * A double of the REX-Ray command line. With the recorded options it answers the recorded session byte for byte; with
 * `devices: 'loop'` what it attaches is a real disk. `rexray-double.ts` installs it as a program.
 */
import { writeSync } from 'node:fs'
import { Misunderstood, parse } from './arguments.ts'
import { type Answer, Commands } from './commands.ts'
import { type Fault, noteCall, readState, withState } from './state.ts'

/** @param directory where its state is; @param machine on which it runs */
export function main(words: readonly string[], directory: string, machine: string): void {
  const answer = answerTo(words, directory, machine)
  if (answer === 'hang') setInterval(() => undefined, 1000)
  else print(answer)
}

/** One call: what it prints and how it ends, if it does. */
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

function print({ stdout = '', stderr = '', code }: Answer): void {
  if (stdout !== '') writeSync(1, stdout)
  if (stderr !== '') writeSync(2, stderr)
  process.exitCode = code
}
