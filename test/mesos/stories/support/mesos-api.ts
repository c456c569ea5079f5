/** Calls to a master's or an agent's `POST /api/v1`, as an operator makes them. */
import { request } from 'node:http'

export interface Answer {
  readonly status: number
  readonly body: string
}

export function post(
  url: string,
  path: string,
  call: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const all = { 'content-type': 'application/json', accept: 'application/json', ...headers }
    const outgoing = request(new URL(path, url), { method: 'POST', headers: all, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(JSON.stringify(call))
  })
}

/** @throws when it is not answered with 200 */
export async function ask<T>({ url }: { readonly url: string }, type: string): Promise<T> {
  const { status, body } = await post(url, '/api/v1', { type })
  if (status !== 200) throw new Error(`${type}: ${status} ${body}`)
  return JSON.parse(body) as T
}
