import { createConnection } from 'node:net'
import { HoldfastError } from '../model/errors.ts'

const CONNECT_MS = 3000

/** Opens a TCP connection and closes it. @param portal HOST:PORT @throws storage_failed when nobody answers there */
export async function portalAnswers(portal: string): Promise<void> {
  const at = portal.lastIndexOf(':')
  const host = portal.slice(0, at).replace(/^\[(.*)\]$/, '$1')
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = createConnection({ host, port: Number(portal.slice(at + 1)), timeout: CONNECT_MS })
  socket.once('connect', () => resolve())
  socket.once('timeout', () => reject(new Error(`no answer within ${CONNECT_MS} ms`)))
  socket.once('error', reject)
  try {
    await promise
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new HoldfastError('storage_failed', `The portal ${portal} is not reached: ${why}`, { portal })
  } finally {
    socket.destroy()
  }
}
