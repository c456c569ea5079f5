import type { Clock } from '../../model/clock.ts'
import { systemClock } from '../../runtime/system-clock.ts'
import { listenOnSocket } from '../docker/socket.ts'
import { type LocalCallParts, localCalls } from './local-calls.ts'
import { createLocalServer } from './local-server.ts'

export interface LocalDoorParts extends LocalCallParts {
  /** Absolute path. Only root may connect. */
  readonly socket: string
  readonly log: { warn(data: object): void }
  readonly clock?: Clock
}

export interface LocalDoor {
  /** @throws invalid_option, in_use */
  listen(): Promise<void>
  close(): Promise<void>
}

/** How long a call that is being worked on may take to end when the door closes, ms. */
const CLOSE_MS = 2000

/** The node daemon's unix socket for other processes of this machine, such as the provider for Mesos. */
export function createLocalDoor({ socket, log, clock = systemClock, ...parts }: LocalDoorParts): LocalDoor {
  const server = createLocalServer({
    calls: localCalls(parts),
    onFailure: (call, { code, message }) => log.warn({ event: 'local.refused', call, code, message }),
  })
  return {
    listen: () => listenOnSocket(server, socket),
    async close() {
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const cancel = clock.after(CLOSE_MS, () => server.closeAllConnections())
      await closed
      cancel()
    },
  }
}
