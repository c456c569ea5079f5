import { HoldfastError } from '../model/errors.ts'
import { formatCount } from '../model/units.ts'
import { GrowingBytes } from './growing-bytes.ts'

/** ZooKeeper's default (jute.maxbuffer), which it keeps to as well. */
const MAX_FRAME = 1024 * 1024
/** Every answer has a header of 16 bytes. */
const MIN_FRAME = 16

/** Cuts what a ZooKeeper server sends into frames: a signed 32-bit length, and as many bytes. */
export class JuteFrames {
  readonly #header = Buffer.alloc(4)
  #headerFilled = 0
  #frame: GrowingBytes | undefined

  /** The next complete frame and how many bytes were used up for it; no frame when the chunk did not complete one. */
  take(chunk: Uint8Array, from: number): { frame?: Uint8Array; used: number } {
    let at = from
    while (this.#frame === undefined && at < chunk.length) {
      this.#header[this.#headerFilled] = chunk[at] as number
      this.#headerFilled += 1
      at += 1
      if (this.#headerFilled === 4) this.#frame = this.#begin(this.#header.readInt32BE())
    }
    if (this.#frame === undefined) return { used: at - from }
    at += this.#frame.take(chunk, at)
    if (!this.#frame.isComplete) return { used: at - from }
    const frame = this.#frame.bytes
    this.#frame = undefined
    return { frame, used: at - from }
  }

  #begin(length: number): GrowingBytes {
    this.#headerFilled = 0
    if (length >= MIN_FRAME && length <= MAX_FRAME) return new GrowingBytes(length)
    const limits = `${MIN_FRAME} to ${formatCount(MAX_FRAME)}`
    throw new HoldfastError(
      'mesos_protocol',
      `a frame of ${formatCount(length)} bytes is announced; ${limits} are taken`,
    )
  }
}
