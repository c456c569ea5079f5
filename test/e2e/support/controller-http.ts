import { Agent, request } from 'node:http'
import type { Ready } from './controller-process.ts'

export interface Response {
  readonly status: number
  // what came is judged by those who asked for it
  readonly body: Readonly<Record<string, unknown>>
}

/** A plain HTTP client of one controller process, on one connection. */
export class Http {
  readonly #ready: Ready
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(ready: Ready) {
    this.#ready = ready
  }

  /** @throws whatever breaks the connection before the whole answer is there */
  send(method: string, path: string, body?: unknown, key?: string): Promise<Response> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      authorization: `Bearer ${this.#ready.token}`,
      accept: 'application/json',
      ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    }
    return new Promise((resolve, reject) => {
      const sent = request(this.#ready.api + path, { method, headers, agent: this.#agent }, (answer) => {
        const parts: Buffer[] = []
        answer.on('data', (part: Buffer) => parts.push(part))
        answer.on('error', reject)
        answer.on('aborted', () => reject(new Error('the answer was cut off')))
        answer.on('end', () => {
          const body = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>
          resolve({ status: answer.statusCode ?? 0, body })
        })
      })
      sent.on('error', reject)
      sent.end(text)
    })
  }

  async get(path: string): Promise<Record<string, unknown>> {
    const { status, body } = await this.send('GET', path)
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`)
    return body
  }

  /** Every item of a list, page by page. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = []
    for (let cursor = ''; ; ) {
      const page = await this.get(`${path}?limit=1000${cursor}`)
      items.push(...(page.items as T[]))
      if (page.next === undefined) return items
      cursor = `&cursor=${String(page.next)}`
    }
  }

  close(): void {
    this.#agent.destroy()
  }
}
