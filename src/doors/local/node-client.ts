import { request } from 'node:http'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import type { MountRequest, NodeDaemon } from '../../node/daemon.ts'
import { fromProblem } from './problem.ts'

export interface LocalMountRequest extends MountRequest {
  /** Refuse when a user of another door has it here. */
  readonly exclusive?: boolean
}

export type LocalStatus = ReturnType<NodeDaemon['status']> & {
  /** Where this node mounts volumes: a volume is at `<mountRoot>/<id>/target`. */
  readonly mountRoot: string
}

const MAX_ANSWER = 16 * 1024 * 1024

/** Asks the node daemon of this machine. @throws its refusals with their code; node_unreachable */
export class LocalNodeClient {
  readonly #socket: string

  constructor(socket: string) {
    this.#socket = socket
  }

  async mount(mount: LocalMountRequest, deadlineMs: number): Promise<string> {
    const { path } = (await this.#call('POST', '/mount', deadlineMs, mount)) as { path: string }
    return path
  }

  async unmount(volume: string, user: MountRequest['user'], deadlineMs: number): Promise<void> {
    await this.#call('POST', '/unmount', deadlineMs, { volume, user })
  }

  async status(deadlineMs: number): Promise<LocalStatus> {
    return (await this.#call('GET', '/status', deadlineMs)) as LocalStatus
  }

  async #call(method: string, path: string, deadlineMs: number, body?: object): Promise<unknown> {
    try {
      const { status, text } = await this.#exchange(method, path, deadlineMs, body)
      if (status !== 200) throw fromProblem(status, text, 'node_unreachable')
      return JSON.parse(text)
    } catch (thrown) {
      if (thrown instanceof HoldfastError) throw thrown
      const why = asHoldfastError(thrown).message
      throw new HoldfastError('node_unreachable', `the node daemon does not answer at ${this.#socket}: ${why}`)
    }
  }

  #exchange(
    method: string,
    path: string,
    deadlineMs: number,
    body?: object,
  ): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(deadlineMs)
      const headers = body === undefined ? {} : { 'content-type': 'application/json' }
      const call = request({ socketPath: this.#socket, method, path, headers, signal, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
          if (text.length > MAX_ANSWER) response.destroy(new Error('its answer is too large'))
        })
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.once('error', reject)
      })
      call.once('error', reject)
      call.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
}
