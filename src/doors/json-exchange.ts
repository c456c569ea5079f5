/** Requests and answers of small JSON interfaces on unix sockets, as `node:http` has them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { HoldfastError } from '../model/errors.ts'

export interface RequestRules {
  readonly maxKiB: number
  /** A request as it should be, for messages. */
  readonly example: string
}

export type RequestObject = Readonly<Record<string, unknown>>

/** Without its query. */
export function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? ''
}

/** An empty body is an empty object. @throws body_too_large, invalid_request */
export async function readObject(request: IncomingMessage, { maxKiB, example }: RequestRules): Promise<RequestObject> {
  const text = await read(request, maxKiB)
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    throw new HoldfastError('invalid_request', `the request is not JSON: ${(thrown as Error).message}`)
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as RequestObject
  throw new HoldfastError('invalid_request', `the request must be a JSON object, such as ${example}`)
}

async function read(request: IncomingMessage, maxKiB: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxKiB * 1024) throw new HoldfastError('body_too_large', `a request may have at most ${maxKiB} KiB`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

export function answer(response: ServerResponse, status: number, type: string, body: object): void {
  if (response.destroyed) return
  // the rest of a body that is too large is not read: the connection can't be used again
  if (status === 413) response.shouldKeepAlive = false
  response.writeHead(status, { 'content-type': type })
  response.end(`${JSON.stringify(body)}\n`)
}
