/** 1: it was tried and did not work. 2: the command line, environment or settings are wrong; no driver was asked. */
export type FailureExit = 1 | 2

/** Ends the program. Its message is all that is written to stderr: one sentence for a person. */
export class Failure extends Error {
  readonly exit: FailureExit

  constructor(exit: FailureExit, message: string) {
    super(message)
    this.name = 'Failure'
    this.exit = exit
  }
}

export function usage(message: string): Failure {
  return new Failure(2, message)
}

export function failed(message: string): Failure {
  return new Failure(1, message)
}

const LONGEST = 600

/** What others wrote, on one line: Mesos shows it to the owner of a task. Control characters are left out. */
export function oneLine(text: string): string {
  const line = text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .replace(/ +/g, ' ')
    .trim()
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 3)}...` : line
}
