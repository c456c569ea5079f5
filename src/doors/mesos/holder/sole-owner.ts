import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { HoldfastError } from '../../../model/errors.ts'

/**
 * The right to be the provider of an agent, whatever state directory it has: a second stream under one id aborts the
 * agent. It is a name among the abstract sockets of this machine's network namespace (unix(7)), which vanishes with the
 * process that holds it.
 */
export class SoleOwner {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** @throws in_use when another process has it */
  static async of(agentUrl: string): Promise<SoleOwner> {
    const { host } = new URL(agentUrl)
    const name = createHash('sha256').update(`holdfast provider of ${host}`).digest('hex').slice(0, 40)
    const server = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(whyNot(agentUrl, error)))
      server.listen(`\0holdfast-provider-${name}`, resolve)
    })
    server.on('error', () => undefined)
    server.unref()
    return new SoleOwner(server)
  }

  release(): void {
    this.#server.close()
  }
}

function whyNot(agentUrl: string, error: NodeJS.ErrnoException): Error {
  if (error.code !== 'EADDRINUSE') return error
  return new HoldfastError(
    'in_use',
    `another process of this machine is the provider of the agent ${agentUrl} already; stop it first (two would abort the agent)`,
  )
}
