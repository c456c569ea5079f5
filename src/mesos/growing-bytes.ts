/** The bytes of one record or frame. They take memory as they come, not when their number is announced. */
export class GrowingBytes {
  readonly length: number
  filled = 0
  #bytes = new Uint8Array(0)

  constructor(length: number) {
    this.length = length
  }

  get isComplete(): boolean {
    return this.filled === this.length
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.filled)
  }

  /** Returns how many bytes it took. */
  take(chunk: Uint8Array, from: number): number {
    const count = Math.min(chunk.length - from, this.length - this.filled)
    const needed = this.filled + count
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.length, Math.max(needed, this.#bytes.length * 2)))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(chunk.subarray(from, from + count), this.filled)
    this.filled = needed
    return count
  }
}
