import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps, Agent as TlsAgent } from 'node:https'
import type { AgentAccess, AgentCredential } from '../agent-access.ts'

const PATH = '/api/v1/resource_provider'
/** Of an answer that is not a stream: enough for a sentence. */
const MAX_TEXT = 4096
/** After that long without a word the kernel asks whether the other end is still there: streams have no heartbeat. */
const KEEP_ALIVE_MS = 15_000

export interface Outgoing {
  readonly body: string
  readonly streamId?: string
}

export interface Answer {
  readonly status: number
  readonly text: string
}

/** POSTs to the resource provider endpoint of one agent. Nothing is redirected: the endpoint is the agent's own. */
export class AgentHttp {
  readonly #url: URL
  readonly #ca: string | undefined
  readonly #headers: Readonly<Record<string, string>>
  readonly #agent: Agent

  /**
   * @param access its credential is sent, too: a stock agent asks for none here, but what stands before one may
   */
  constructor(agentUrl: string, { ca, credential }: AgentAccess) {
    this.#url = new URL(PATH, agentUrl)
    this.#ca = ca
    this.#headers = {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(credential === undefined ? {} : { authorization: basic(credential) }),
    }
    const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, maxSockets: Number.POSITIVE_INFINITY }
    this.#agent = this.#url.protocol === 'https:' ? new TlsAgent(options) : new Agent(options)
  }

  /** @param onError nothing came of it, or it has ended; called again for each such reason */
  open(out: Outgoing, onAnswer: (response: IncomingMessage) => void, onError: (error: Error) => void): ClientRequest {
    const request = this.#url.protocol === 'https:' ? requestHttps : requestHttp
    const sent = request(this.#url, {
      method: 'POST',
      agent: this.#agent,
      headers: {
        ...this.#headers,
        ...(out.streamId === undefined ? {} : { 'mesos-stream-id': out.streamId }),
      },
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
    })
    sent.setNoDelay(true)
    sent.setSocketKeepAlive(true, KEEP_ALIVE_MS)
    sent.once('response', onAnswer)
    sent.on('error', onError)
    sent.once('close', () => onError(new Error('the connection ended')))
    sent.end(out.body)
    return sent
  }

  /** A call with a short answer; undefined when none came. `done` is called once. */
  exchange(out: Outgoing, done: (answer: Answer | undefined) => void): ClientRequest {
    let told = false
    const tell = (answer: Answer | undefined) => {
      if (told) return
      told = true
      done(answer)
    }
    return this.open(
      out,
      (response) => readShort(response, (text) => tell(text === undefined ? undefined : answerOf(response, text))),
      () => tell(undefined),
    )
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** HTTP Basic (RFC 7617), which is what stock agents take. */
function basic({ principal, secret }: AgentCredential): string {
  return `Basic ${Buffer.from(`${principal}:${secret}`).toString('base64')}`
}

function answerOf({ statusCode = 0 }: IncomingMessage, text: string): Answer {
  return { status: statusCode, text }
}

/** The beginning of a body; undefined when it broke off. What is too long is not waited for. */
export function readShort(response: IncomingMessage, done: (text: string | undefined) => void): void {
  let text = ''
  response.setEncoding('utf8')
  response.on('data', (chunk: string) => {
    text += chunk
    if (text.length <= MAX_TEXT) return
    done(text.slice(0, MAX_TEXT))
    response.destroy()
  })
  response.once('end', () => done(text))
  response.once('error', () => done(undefined))
  response.once('close', () => done(undefined))
}
