import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { PROBLEM_TYPE, problemOf } from './problem.ts'

/** Requests are small: a name, a user, a mode. */
const MAX_BODY = 64 * 1024

export type LocalCall = (body: Readonly<Record<string, unknown>>) => Promise<object>

export interface LocalServerParts {
  /** By method and path, e.g. `POST /mount`. */
  readonly calls: ReadonlyMap<string, LocalCall>
  readonly onFailure: (call: string, error: HoldfastError) => void
}

/** The node daemon's API for other processes of its machine: JSON in and out, problem documents for refusals. */
export function createLocalServer(parts: LocalServerParts): Server {
  return createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
    void serve(parts, request, response)
  })
}

async function serve(parts: LocalServerParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  const call = `${request.method} ${path}`
  try {
    answer(response, 200, 'application/json', await handle(parts, call, path, request))
  } catch (thrown) {
    const error = asHoldfastError(thrown)
    parts.onFailure(call, error)
    answer(response, error.row.status, PROBLEM_TYPE, problemOf(error))
  }
}

async function handle(
  { calls }: LocalServerParts,
  name: string,
  path: string,
  request: IncomingMessage,
): Promise<object> {
  const call = calls.get(name)
  if (call !== undefined) return call(parse(await read(request)))
  const others = [...calls.keys()].filter((each) => each.endsWith(` ${path}`))
  if (others.length === 0) throw new HoldfastError('not_found', `there is no ${path} in the node's local interface`)
  throw new HoldfastError('method_not_allowed', `${path} is for ${others.map((each) => each.split(' ')[0]).join(', ')}`)
}

function answer(response: ServerResponse, status: number, type: string, body: object): void {
  if (response.destroyed) return
  // the rest of a body that is too large is not read: the connection can't be used again
  if (status === 413) response.shouldKeepAlive = false
  response.writeHead(status, { 'content-type': type })
  response.end(`${JSON.stringify(body)}\n`)
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw new HoldfastError('body_too_large', 'a request may have at most 64 KiB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parse(text: string): Readonly<Record<string, unknown>> {
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    throw new HoldfastError('invalid_request', `the request is not JSON: ${(thrown as Error).message}`)
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
  throw new HoldfastError('invalid_request', 'the request must be a JSON object, such as {"volume": "data"}')
}
