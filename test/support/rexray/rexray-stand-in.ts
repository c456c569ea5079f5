/**
 * A double of the REX-Ray command line: `rexray-stand-in.ts DIRECTORY MACHINE WORD…`. With the recorded options it answers
 * the recorded session byte for byte; with `devices: 'loop'` what it attaches is a real disk. `RexrayDouble` installs it
 * as a program.
 */
import { writeSync } from 'node:fs'
import { answerTo } from './answers.ts'

const [directory = '', machine = '', ...words] = process.argv.slice(2)
const answer = answerTo(words, directory, machine)
if (answer === 'hang') setInterval(() => undefined, 1000)
else {
  if (answer.stdout !== undefined && answer.stdout !== '') writeSync(1, answer.stdout)
  if (answer.stderr !== undefined && answer.stderr !== '') writeSync(2, answer.stderr)
  process.exitCode = answer.code
}
