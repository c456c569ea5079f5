/**
 * Output of a program, kept up to a limit. The end is kept, because tools say last what went wrong, and a runaway
 * program must not fill the daemon's memory.
 */
export class BoundedOutput {
  private chunks: Buffer[] = []
  private held = 0
  private seen = 0
  private readonly limit: number

  /** @param limit in bytes */
  constructor(limit: number) {
    this.limit = limit
  }

  /** Bytes that were ever written, kept or not. */
  get total(): number {
    return this.seen
  }

  push(chunk: Buffer): void {
    this.seen += chunk.length
    this.held += chunk.length
    this.chunks.push(chunk)
    if (this.held > 2 * this.limit) this.trim()
  }

  text(): string {
    this.trim()
    return Buffer.concat(this.chunks).toString('utf8')
  }

  private trim(): void {
    if (this.held <= this.limit) return
    const all = Buffer.concat(this.chunks)
    // A copy, so that the small end does not keep the large whole alive.
    const tail = Buffer.from(all.subarray(all.length - this.limit))
    this.chunks = [tail]
    this.held = tail.length
  }
}
