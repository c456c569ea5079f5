import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Logger } from 'pino'
import { asHoldfastError, type ErrorCode, HoldfastError } from '../../model/errors.ts'

/** An RFC 9457 problem document with its status and headers. */
export interface Problem {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

export const PROBLEM_TYPE = 'application/problem+json'

/** Writes an error down for the caller. What went wrong inside is told to the log alone, under an id. */
export function problemOf(thrown: unknown, log: Logger): Problem {
  const error = fromFastify(thrown) ?? asHoldfastError(thrown)
  const { status, title } = error.row
  let { message: detail, data } = error
  if (error.code === 'internal') {
    const id = randomUUID()
    log.error({ id, err: error.cause ?? error }, 'something went wrong inside')
    detail = `something went wrong inside; the controller's log has it under ${id}`
    data = { id }
  }
  const body = { ...data, type: `urn:holdfast:error:${error.code}`, title, status, detail, code: error.code }
  return { status, headers: { 'content-type': PROBLEM_TYPE, ...headersOf(error) }, body }
}

function headersOf(error: HoldfastError): Record<string, string> {
  if (error.row.status === 503) return { 'retry-after': '1' }
  if (error.code === 'unauthenticated') return { 'www-authenticate': 'Bearer' }
  if (error.code === 'method_not_allowed') return { allow: String(error.data.allow) }
  return {}
}

const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
}

/** What the HTTP server itself refuses; undefined for anything that is not its refusal. */
function fromFastify(thrown: unknown): HoldfastError | undefined {
  if (thrown instanceof HoldfastError || !(thrown instanceof Error)) return undefined
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown }
  if (typeof code !== 'string' || !code.startsWith('FST_')) return undefined
  const known = FASTIFY_CODES[code]
  if (known === 'body_too_large') return new HoldfastError(known, 'a request body may have at most 1 MiB')
  if (known === 'unsupported_media_type') {
    return new HoldfastError(known, 'send JSON, with the header "Content-Type: application/json"')
  }
  if (typeof statusCode !== 'number' || statusCode >= 500) return undefined
  return new HoldfastError('invalid_request', thrown.message)
}

/** The whole answer, as bytes, to what is not even an HTTP request or did not arrive in time. */
export function rawProblem(error: NodeJS.ErrnoException): string {
  const { status, detail } = notHttp(error)
  const title = 'The request is malformed'
  const problem = { type: 'urn:holdfast:error:invalid_request', title, status, detail, code: 'invalid_request' }
  const body = JSON.stringify(problem)
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n')
}

function notHttp(error: NodeJS.ErrnoException): { status: number; detail: string } {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return { status: 408, detail: 'the request did not arrive in time' }
  if (error.code === 'HPE_HEADER_OVERFLOW') return { status: 431, detail: 'the headers are too large' }
  return { status: 400, detail: 'this is not an HTTP/1.1 request' }
}
