/** `<length of what follows in bytes>\n<JSON>`, again and again. */
export function encodeRecord(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  return Buffer.concat([Buffer.from(`${body.length}\n`), body])
}

export class RecordDecoder {
  #rest = Buffer.alloc(0)

  push(chunk: Buffer): unknown[] {
    this.#rest = Buffer.concat([this.#rest, chunk])
    const records: unknown[] = []
    for (;;) {
      const end = this.#rest.indexOf(0x0a)
      if (end < 0) return records
      const length = Number(this.#rest.subarray(0, end).toString())
      if (this.#rest.length < end + 1 + length) return records
      records.push(JSON.parse(this.#rest.subarray(end + 1, end + 1 + length).toString()))
      this.#rest = this.#rest.subarray(end + 1 + length)
    }
  }
}
