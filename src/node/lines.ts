import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

/**
 * The lines of a body, until it ends. Whoever leaves early closes it; a reader that was left passes errors of its input
 * on all the same, and then nobody else would listen: that ends a process.
 * @throws what breaks the body
 */
export async function* linesOf(body: Readable): AsyncGenerator<string, void, void> {
  const reader = createInterface({ input: body, crlfDelay: Number.POSITIVE_INFINITY })
  try {
    yield* reader
  } finally {
    reader.on('error', () => undefined)
    body.on('error', () => undefined)
    body.destroy()
  }
}
