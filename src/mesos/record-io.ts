import { HoldfastError } from '../model/errors.ts'
import { formatCount, quote } from '../model/units.ts'
import { GrowingBytes } from './growing-bytes.ts'

/**
 * RecordIO, the framing of every stream of Mesos (docs/scheduler-http-api.md of Apache Mesos): the length of a record
 * in bytes as a decimal number, a newline, the record; nothing after it. Borders of chunks mean nothing.
 */
export interface RecordOptions {
  /** Largest record taken, in bytes; 64 MiB if not given. A longer one is refused when its length is read. */
  readonly maxBytes?: number
  /** Whose stream it is, for messages: `the stream of http://a1:5051`. */
  readonly where?: string
}

const MAX_BYTES = 64 * 1024 * 1024
/** The digits of 2^64. */
const MAX_DIGITS = 20
const NEWLINE = 10
const UTF8 = { fatal: true, ignoreBOM: true } as const

/** One record, framed. */
export function encodeRecord(record: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(record)}\n${record}`)
}

/** Takes chunks as they come and gives the records that are complete. After an error it gives that error for ever. */
export class RecordDecoder {
  readonly #maxBytes: number
  readonly #where: string
  readonly #text = new TextDecoder('utf-8', UTF8)
  /** Bytes of complete headers and records before the current one. */
  #offset = 0
  #header = ''
  #record: GrowingBytes | undefined
  #broken: HoldfastError | undefined

  constructor(options: RecordOptions = {}) {
    this.#maxBytes = options.maxBytes ?? MAX_BYTES
    this.#where = options.where ?? 'a stream of records'
  }

  /** @throws mesos_protocol for a length that is no number, a record that is too long or that is not UTF-8 */
  push(chunk: Uint8Array): string[] {
    if (this.#broken !== undefined) throw this.#broken
    const records: string[] = []
    let at = 0
    while (at < chunk.length) {
      if (this.#record === undefined) at = this.#readHeader(chunk, at)
      else at += this.#record.take(chunk, at)
      if (this.#record?.isComplete === true) records.push(this.#finish(this.#record))
    }
    return records
  }

  /** The stream has ended. @throws mesos_protocol when it ended within a record */
  end(): void {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#record !== undefined) {
      const { length, filled } = this.#record
      throw this.#wrong(`it ends after ${formatCount(filled)} of the ${formatCount(length)} bytes of a record`)
    }
    if (this.#header !== '') throw this.#wrong(`it ends within the length of a record, ${quote(this.#header)}`)
  }

  /** Returns where to go on. A newline completes the header, and a record of no bytes is complete with it. */
  #readHeader(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] as number
      if (byte === NEWLINE) {
        this.#record = new GrowingBytes(this.#length())
        return at + 1
      }
      if (byte < 48 || byte > 57) {
        const text = this.#header + Buffer.from(chunk.subarray(at, at + 20)).toString('latin1')
        throw this.#wrong(`the length of a record should be a decimal number and a newline, not ${quote(text)}`)
      }
      if (this.#header.length === MAX_DIGITS) {
        throw this.#wrong(`the length of a record has more than ${MAX_DIGITS} digits: ${quote(this.#header)}…`)
      }
      this.#header += String.fromCharCode(byte)
    }
    return chunk.length
  }

  #length(): number {
    if (this.#header === '') throw this.#wrong('an empty line is where the length of a record should be')
    const length = Number(this.#header)
    if (length > this.#maxBytes) {
      const limit = formatCount(this.#maxBytes)
      throw this.#wrong(`a record of ${BigInt(this.#header)} bytes is announced; at most ${limit} are taken`)
    }
    return length
  }

  #finish(record: GrowingBytes): string {
    try {
      const text = this.#text.decode(record.bytes)
      this.#offset += this.#header.length + 1 + record.length
      this.#header = ''
      this.#record = undefined
      return text
    } catch {
      throw this.#wrong(`a record of ${formatCount(record.length)} bytes is not UTF-8`)
    }
  }

  #wrong(what: string): HoldfastError {
    this.#broken = new HoldfastError('mesos_protocol', `${this.#where}, byte ${this.#offset}: ${what}`)
    return this.#broken
  }
}

/**
 * The records of a stream, until it ends.
 * @throws mesos_protocol as `RecordDecoder`, also at an end within a record; whatever the stream throws
 */
export async function* readRecords(
  stream: AsyncIterable<Uint8Array>,
  options: RecordOptions = {},
): AsyncGenerator<string, void, void> {
  const decoder = new RecordDecoder(options)
  for await (const chunk of stream) yield* decoder.push(chunk)
  decoder.end()
}
