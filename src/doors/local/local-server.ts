import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { answer, pathOf, type RequestObject, readObject } from '../json-exchange.ts'
import { PROBLEM_TYPE, problemOf } from './problem.ts'

/** Requests are small: a name, a user, a mode. */
const RULES = { maxKiB: 64, example: '{"volume": "data"}' }

export type LocalCall = (body: RequestObject) => Promise<object>

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
  const path = pathOf(request)
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
  if (call !== undefined) return call(await readObject(request, RULES))
  const others = [...calls.keys()].filter((each) => each.endsWith(` ${path}`))
  if (others.length === 0) throw new HoldfastError('not_found', `there is no ${path} in the node's local interface`)
  throw new HoldfastError('method_not_allowed', `${path} is for ${others.map((each) => each.split(' ')[0]).join(', ')}`)
}
