import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { asHoldfastError, type HoldfastError } from '../../model/errors.ts'

const MAX_BODY = 1024 * 1024
const TYPE = 'application/vnd.docker.plugins.v1.2+json'

export type PluginCall = (body: Readonly<Record<string, unknown>>, gone: AbortSignal) => Promise<object>

export interface PluginServerParts {
  /** By path, e.g. `/VolumeDriver.Mount`. `gone` aborts when the caller has hung up. */
  readonly calls: ReadonlyMap<string, PluginCall>
  readonly onFailure: (path: string, error: HoldfastError) => void
}

/** What is wrong with a request as such; everything else is told with status 500. */
class BadRequest extends Error {
  readonly status: 400 | 404 | 405 | 413

  constructor(status: 400 | 404 | 405 | 413, message: string) {
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
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  try {
    answer(response, 200, await handle(parts, path, request, gone.signal))
  } catch (thrown) {
    if (thrown instanceof BadRequest) return answer(response, thrown.status, { Err: thrown.message })
    const error = asHoldfastError(thrown)
    if (!gone.signal.aborted) parts.onFailure(path, error)
    answer(response, 500, { Err: sentence(error) })
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
  return call(parse(await read(request)), gone)
}

function answer(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return
  // the rest of a body that is too large is not read: the connection can't be used again
  if (status === 413) response.shouldKeepAlive = false
  response.writeHead(status, { 'content-type': TYPE })
  response.end(`${JSON.stringify(body)}\n`)
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw new BadRequest(413, 'a request may have at most 1 MiB')
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
    throw new BadRequest(400, `the request is not JSON: ${(thrown as Error).message}`)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new BadRequest(400, 'the request must be a JSON object, such as {"Name": "data"}')
  }
  return value as Record<string, unknown>
}

/** One line for Docker's user, with the code to look up. */
export function sentence(error: HoldfastError): string {
  const text = error.message.replace(/\s+/g, ' ').trim()
  return `${text.length > 400 ? `${text.slice(0, 397)}...` : text} [${error.code}]`
}
