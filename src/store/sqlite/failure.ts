import { HoldfastError } from '../../model/errors.ts'

/** What is left of an SQLite error after it crossed from the worker thread: plain data. */
export interface Failure {
  readonly message: string
  /** Primary result code of SQLite (https://sqlite.org/rescode.html), undefined when it was no error of SQLite. */
  readonly result: number | undefined
}

// our statements are fixed, so what SQLite calls an error in them is a table that is not as it was made
const RESULT_ERROR = 1
const RESULT_BUSY = 5
const RESULT_CORRUPT = 11
const RESULT_NOT_A_DATABASE = 26
const CORRUPT: readonly (number | undefined)[] = [RESULT_ERROR, RESULT_CORRUPT, RESULT_NOT_A_DATABASE]

export function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) return { message: String(thrown), result: undefined }
  const { message } = thrown
  // no number that we write is above 2^53, so one that node:sqlite cannot read was damaged
  if ('code' in thrown && thrown.code === 'ERR_OUT_OF_RANGE') return { message, result: RESULT_CORRUPT }
  if (!('errcode' in thrown) || typeof thrown.errcode !== 'number') return { message, result: undefined }
  // the low byte is the primary code, the rest tells which variant (https://sqlite.org/rescode.html#pve)
  return { message, result: thrown.errcode & 0xff }
}

export function isBusy(failure: Failure): boolean {
  return failure.result === RESULT_BUSY
}

export function isCorrupt(failure: Failure): boolean {
  return CORRUPT.includes(failure.result)
}

/** The error for a store file that could not be opened, read or written outside of a commit. */
export function fileError(file: string, failure: Failure): HoldfastError {
  if (isCorrupt(failure)) return corrupt(file, failure.message)
  return new HoldfastError(
    'state_dir',
    `The store ${file} cannot be used: ${failure.message}. Its file system must have free space, be writable and be local.`,
    { file },
  )
}

export function corrupt(file: string, what: string): HoldfastError {
  return new HoldfastError(
    'store_corrupt',
    `The store ${file} is damaged: ${what}. Nothing in it was repaired. Keep a copy of ${file} and ${file}-wal, ` +
      'then restore the whole directory from a backup made while the controller was stopped.',
    { file, detail: what },
  )
}
