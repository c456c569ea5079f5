/**
 * A double of the REX-Ray command line. With the recorded options it answers the recorded session byte for byte; with
 * `devices: 'loop'` what it attaches is a real disk. `rexray-double.ts` installs it as a program.
 */
import { writeSync } from 'node:fs'
import { Misunderstood, parse } from './arguments.ts'
import { Commands } from './commands.ts'
import { type Fault, noteCall, readState, withState } from './state.ts'

interface Answer {
  readonly stdout?: string
  readonly stderr?: string
  readonly code: number
}

/** @param directory where its state is */
export function main(words: readonly string[], directory: string): void {
  noteCall(directory, words)
  const fault = takeFault(directory, words)
  const answer = fault === undefined || fault.after === true ? perform(words, directory) : undefined
  if (fault !== undefined) suffer(fault)
  else if (answer !== undefined) print(answer)
}

function perform(words: readonly string[], directory: string): Answer {
  try {
    const call = parse(words, readState(directory).options.grammar)
    return withState(directory, (state) => new Commands(directory, state).run(call))
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

function suffer({ what, text = '' }: Fault): void {
  if (what === 'hang') setInterval(() => undefined, 1000)
  else print(what === 'fail' ? { stderr: text, code: 1 } : { stdout: text, code: 0 })
}

function print({ stdout = '', stderr = '', code }: Answer): void {
  if (stdout !== '') writeSync(1, stdout)
  if (stderr !== '') writeSync(2, stderr)
  process.exitCode = code
}
