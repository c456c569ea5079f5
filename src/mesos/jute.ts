import { HoldfastError } from '../model/errors.ts'

/**
 * Jute, the encoding of ZooKeeper (zookeeper-jute of Apache ZooKeeper, BinaryInputArchive): big-endian numbers; strings,
 * buffers and vectors begin with their length as a signed 32-bit number, -1 for none.
 */
export class JuteWriter {
  readonly #parts: Buffer[] = []

  int(value: number): this {
    const part = Buffer.alloc(4)
    part.writeInt32BE(value)
    return this.#add(part)
  }

  long(value: bigint): this {
    const part = Buffer.alloc(8)
    part.writeBigInt64BE(value)
    return this.#add(part)
  }

  bool(value: boolean): this {
    return this.#add(Buffer.of(value ? 1 : 0))
  }

  buffer(value: Uint8Array): this {
    return this.int(value.length).#add(value)
  }

  string(value: string): this {
    return this.buffer(Buffer.from(value))
  }

  /** With its length in front, as it goes over the wire. */
  frame(): Buffer {
    const body = Buffer.concat(this.#parts)
    const length = Buffer.alloc(4)
    length.writeInt32BE(body.length)
    return Buffer.concat([length, body])
  }

  #add(part: Uint8Array): this {
    this.#parts.push(Buffer.from(part))
    return this
  }
}

/** Reads one frame. Nothing that a frame says makes it read beyond its end or take more memory than the frame has. */
export class JuteReader {
  readonly #bytes: Buffer
  readonly #what: string
  #at = 0

  /** @param what whose frame it is, for messages */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#take(4))
  }

  long(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8))
  }

  /** Of a buffer that is none: an empty one. */
  buffer(): Buffer {
    const length = this.int()
    if (length < -1) throw this.#wrong(`a length of ${length}`)
    const count = Math.max(length, 0)
    const from = this.#take(count)
    return this.#bytes.subarray(from, from + count)
  }

  string(): string {
    const bytes = this.buffer()
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch {
      throw this.#wrong('a text that is not UTF-8')
    }
  }

  strings(): string[] {
    const count = this.int()
    // each takes four bytes at least
    if (count < 0 || count > (this.#bytes.length - this.#at) / 4) throw this.#wrong(`a list of ${count} texts`)
    return Array.from({ length: count }, () => this.string())
  }

  skip(count: number): void {
    this.#take(count)
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw this.#wrong(`${this.#bytes.length - this.#at} bytes too many`)
  }

  #take(count: number): number {
    const from = this.#at
    if (from + count > this.#bytes.length) {
      throw this.#wrong(`its end after ${this.#bytes.length} bytes where at least ${from + count} were announced`)
    }
    this.#at += count
    return from
  }

  #wrong(found: string): HoldfastError {
    return new HoldfastError('mesos_protocol', `${this.#what} has ${found} at byte ${this.#at}`)
  }
}
