/** Speaks the volume plugin protocol as Docker does: POST over a unix socket, no Content-Type, an odd Host. */
import { request } from 'node:http'

export interface Reply {
  readonly status: number
  readonly type: string | undefined
  readonly text: string
  /** The answer as JSON. */
  readonly body: {
    readonly Err?: string
    readonly Implements?: string[]
    readonly Mountpoint?: string
    readonly Capabilities?: { Scope: string }
    readonly Volume?: {
      Name: string
      Mountpoint: string
      CreatedAt: string
      Status: Record<string, unknown>
    }
    readonly Volumes?: { Name: string; Mountpoint: string }[]
  }
}

export interface SendOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly signal?: AbortSignal
}

export function send(socketPath: string, path: string, text?: string, options: SendOptions = {}): Promise<Reply> {
  const { method = 'POST', headers = {}, signal } = options
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath,
        path,
        method,
        ...(signal === undefined ? {} : { signal }),
        headers: { accept: 'application/vnd.docker.plugins.v1.2+json', host: '%2Frun%2Fodd.sock', ...headers },
      },
      (response) => {
        let answer = ''
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          answer += chunk
        })
        response.on('error', reject)
        response.on('end', () => {
          const { statusCode: status = 0, headers: got } = response
          resolve({ status, type: got['content-type'], text: answer, body: JSON.parse(answer) })
        })
      },
    )
    sent.on('error', reject)
    sent.end(text)
  })
}

/** One Docker daemon's view of a door. Errors come back as their sentence. */
export class PluginClient {
  readonly socket: string

  constructor(socket: string) {
    this.socket = socket
  }

  call(name: string, body: object = {}, options: SendOptions = {}): Promise<Reply> {
    return send(this.socket, `/VolumeDriver.${name}`, JSON.stringify(body), options)
  }

  /** @returns the answer @throws the sentence of a refusal */
  async ok(name: string, body: object = {}): Promise<Reply['body']> {
    const reply = await this.call(name, body)
    if (reply.status !== 200 || (reply.body.Err ?? '') !== '') throw new Error(`${reply.status} ${reply.body.Err}`)
    return reply.body
  }

  create(name: string, opts: Record<string, string> = {}): Promise<Reply['body']> {
    return this.ok('Create', { Name: name, Opts: opts })
  }

  async mount(name: string, id: string): Promise<string> {
    return (await this.ok('Mount', { Name: name, ID: id })).Mountpoint ?? ''
  }

  unmount(name: string, id: string): Promise<Reply['body']> {
    return this.ok('Unmount', { Name: name, ID: id })
  }

  async get(name: string): Promise<NonNullable<Reply['body']['Volume']>> {
    const { Volume } = await this.ok('Get', { Name: name })
    if (Volume === undefined) throw new Error('the answer has no volume')
    return Volume
  }

  async names(): Promise<string[]> {
    return ((await this.ok('List')).Volumes ?? []).map((volume) => volume.Name)
  }
}
