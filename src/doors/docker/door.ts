import type { Clock } from '../../model/clock.ts'
import type { NodeDaemon } from '../../node/daemon.ts'
import type { RestClient } from '../../node/http-link.ts'
import { systemClock } from '../../runtime/system-clock.ts'
import { pluginCalls } from './calls.ts'
import { type DockerDoorConfig, doorSettings } from './config.ts'
import { Creator } from './create.ts'
import { volumesInUse } from './docker-api.ts'
import { LocalVolumes } from './local.ts'
import { Mounts } from './mounts.ts'
import { createPluginServer } from './plugin-server.ts'
import { Reconciler } from './reconcile.ts'
import { listenOnSocket } from './socket.ts'
import { Volumes } from './volumes.ts'

export interface DockerDoorParts {
  readonly node: Pick<NodeDaemon, 'mount' | 'unmount' | 'table'>
  readonly rest: RestClient
  /** Absolute path; its name without `.sock` is what Docker calls the driver. */
  readonly socket: string
  readonly config: DockerDoorConfig
  readonly log: { info(data: object): void; warn(data: object): void }
  readonly clock?: Clock
}

export interface DockerDoor {
  /** Whether a Mount is under way. */
  readonly busy: boolean
  /** @throws invalid_option, in_use */
  listen(): Promise<void>
  /**
   * Ends what only waits, with an answer that says so: Docker repeats a call whose connection broke, but without its
   * content (moby, pkg/plugins/client.go). What is mounted stays mounted.
   */
  close(): Promise<void>
  /** Lets go of users whose Unmount was skipped, as far as Docker can be asked. @returns those it let go */
  reconcile(): Promise<{ name: string; id: string }[]>
}

/** How long a call that is really being worked on may take to end when the door closes, ms. */
const CLOSE_MS = 5000

/** The volume plugin of one Docker daemon (protocol v1, docs/extend/plugins_volume.md of docker/cli). */
export function createDockerDoor({
  node,
  rest,
  socket,
  config,
  log,
  clock = systemClock,
}: DockerDoorParts): DockerDoor {
  const settings = doorSettings(config)
  const { roles, answerMs, graceMs, lookMs, api } = settings
  const closing = new AbortController()
  const tell = (event: string, data: Record<string, unknown>) => log.info({ event, ...data })
  const volumes = new Volumes(rest, roles)
  const local = new LocalVolumes(node.table)
  const mounts = new Mounts({ node, local, volumes, roles, answerMs, clock, closing: closing.signal, log: tell })
  const creator = new Creator(volumes, settings)
  const ask = api === undefined ? undefined : () => volumesInUse(api)
  const reconciler = ask && new Reconciler({ local, mounts, clock, graceMs, lookMs, log: tell, volumesInUse: ask })
  const server = createPluginServer({
    calls: pluginCalls({ volumes, local, mounts, creator, settings, closing: closing.signal }),
    onFailure: (path, { code, message }) => {
      // Docker asks for every name before it creates it
      if (code !== 'not_found') log.warn({ event: 'docker.refused', path, code, message })
    },
  })
  return {
    get busy() {
      return mounts.busy
    },
    async listen() {
      await listenOnSocket(server, socket)
      reconciler?.start()
    },
    async close() {
      closing.abort()
      reconciler?.stop()
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const cancel = clock.after(CLOSE_MS, () => server.closeAllConnections())
      await closed
      cancel()
    },
    reconcile: async () => (await reconciler?.reconcile()) ?? [],
  }
}
