import { isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { HoldfastError } from '../../model/errors.ts'
import { isLoopback } from './routes-system.ts'

export interface ListenOptions {
  /** Address, or `localhost`. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Whether the door speaks TLS. */
  readonly tls: boolean
  /** Serve plain HTTP to other machines all the same. */
  readonly insecure: boolean
}

/**
 * Begins to listen. @returns the base URL
 * @throws invalid_option when tokens and data would cross the network in the clear
 */
export async function listen(app: FastifyInstance, options: ListenOptions): Promise<string> {
  const { host, port, tls, insecure } = options
  const local = host === 'localhost' || isLoopback(host)
  if (!tls && !local && !insecure) {
    throw new HoldfastError(
      'invalid_option',
      `listening on ${host}:${port} without TLS would send tokens in the clear: give a certificate and key, listen on 127.0.0.1, or say insecure`,
    )
  }
  // biome-ignore lint/nursery/useAwaitThenable: its type is a promise and more besides, which the rule does not see
  await app.listen({ host, port })
  const address = app.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return `${tls ? 'https' : 'http'}://${isIP(host) === 6 ? `[${host}]` : host}:${bound}`
}
