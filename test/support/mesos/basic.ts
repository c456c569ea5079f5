/** HTTP basic as masters and agents check it. */
import type { Call } from './http-host.ts'

export interface Credential {
  readonly principal: string
  readonly secret: string
}

/** @returns undefined when the call was refused: it has been answered */
export function authenticate(
  { request, response }: Call,
  credentials: readonly Credential[],
  realm: string,
): { readonly principal: string | undefined } | undefined {
  if (credentials.length === 0) return { principal: undefined }
  const [scheme, encoded] = (request.headers.authorization ?? '').split(' ')
  const [name, ...rest] = Buffer.from(scheme === 'Basic' ? (encoded ?? '') : '', 'base64')
    .toString()
    .split(':')
  const found = credentials.find(({ principal, secret }) => principal === name && secret === rest.join(':'))
  if (found !== undefined) return { principal: found.principal }
  response.writeHead(401, { 'WWW-Authenticate': `Basic realm="${realm}"`, 'Content-Length': 0 }).end()
  return undefined
}
