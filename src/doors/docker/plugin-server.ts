import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { answer, pathOf, type RequestObject, readObject } from '../json-exchange.ts'

const RULES = { maxKiB: 1024, example: '{"Name": "data"}' }
const TYPE = 'application/vnd.docker.plugins.v1.2+json'

export type PluginCall = (body: RequestObject, gone: AbortSignal) => Promise<object>

export interface PluginServerParts {
  /** By path, e.g. `/VolumeDriver.Mount`. `gone` aborts when the caller has hung up. */
  readonly calls: ReadonlyMap<string, PluginCall>
  readonly onFailure: (path: string, error: HoldfastError) => void
}

/** What is wrong with a request as such; everything else is told with status 500. */
class BadRequest extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'BadRequest'
    this.status = status
  }
}

export function badRequest(message: string): Error {
  return new BadRequest(400, message)
}

/**
 * The Docker plugin protocol (docs/extend/plugin_api.md of docker/cli): POST with JSON in and out. Docker sends no
 * Content-Type and dvdcli an odd Host, so neither is looked at. A refusal has a status other than 200 and
 * `{"Err": sentence}`; Docker shows the sentence to its user.
 */
export function createPluginServer(parts: PluginServerParts): Server {
  return createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
    void serve(parts, request, response)
  })
}

async function serve(parts: PluginServerParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = pathOf(request)
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  try {
    answer(response, 200, TYPE, await handle(parts, path, request, gone.signal))
  } catch (thrown) {
    if (thrown instanceof BadRequest) return answer(response, thrown.status, TYPE, { Err: thrown.message })
    const error = asHoldfastError(thrown)
    if (!gone.signal.aborted) parts.onFailure(path, error)
    answer(response, 500, TYPE, { Err: sentence(error) })
  }
}

async function handle(
  parts: PluginServerParts,
  path: string,
  request: IncomingMessage,
  gone: AbortSignal,
): Promise<object> {
  const call = parts.calls.get(path)
  if (call === undefined) throw new BadRequest(404, 'there is no such call in the volume plugin protocol')
  if (request.method !== 'POST') throw new BadRequest(405, 'calls of the plugin protocol are sent with POST')
  return call(await objectOf(request), gone)
}

/** What is wrong with a body is told with its own status. */
async function objectOf(request: IncomingMessage): Promise<RequestObject> {
  try {
    return await readObject(request, RULES)
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw new BadRequest(thrown.row.status, thrown.message)
    throw thrown
  }
}

/** One line for Docker's user, with the code to look up. */
export function sentence(error: HoldfastError): string {
  const text = error.message.replace(/\s+/g, ' ').trim()
  return `${text.length > 400 ? `${text.slice(0, 397)}...` : text} [${error.code}]`
}
