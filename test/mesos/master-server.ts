/** Small HTTP servers that stand where a master or an agent would, and say what the test tells them to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { onTestFinished } from 'vitest'

export interface Heard {
  /** Of the call in the body; empty for a GET. */
  readonly type: string
  readonly authorization: string | undefined
}

export type Answer = (call: Heard, response: ServerResponse, server: SmallServer) => unknown

export class SmallServer {
  readonly heard: Heard[] = []
  url = ''
  answer: Answer

  private constructor(answer: Answer) {
    this.answer = answer
  }

  /** Ends with the test, whatever is still open. */
  static async start(answer: Answer, tls?: { key: string; cert: string }): Promise<SmallServer> {
    const small = new SmallServer(answer)
    const listener = async (request: IncomingMessage, response: ServerResponse) => {
      const call = { type: await typeOf(request), authorization: request.headers.authorization }
      small.heard.push(call)
      await small.answer(call, response, small)
    }
    const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    small.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`
    return small
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }
}

async function typeOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text === '' ? '' : JSON.parse(text).type
}

export function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export function plain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(text)
}

/** A master that leads, as GET_MASTER shows it. */
export function leads(id: string): Answer {
  return (call, response, server) => {
    const info = { id, ip: 16777343, port: server.port, pid: `master@127.0.0.1:${server.port}`, hostname: 'localhost' }
    const address = { hostname: 'localhost', ip: '127.0.0.1', port: server.port }
    json(response, { type: call.type, get_master: { master_info: { ...info, version: '1.11.0', address } } })
  }
}

/** A master that does not lead. @param location as it writes it, often without a scheme */
export function redirects(location: string): Answer {
  return (_call, response) => response.writeHead(307, { location }).end()
}
