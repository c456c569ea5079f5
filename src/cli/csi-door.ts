import type { Logger } from 'pino'
import { csiSettings } from '../doors/csi/config.ts'
import { type CsiDoor, createCsiDoor } from '../doors/csi/door.ts'
import { createNodeService } from '../doors/csi/node-service.ts'
import type { NodeDaemon } from '../node/daemon.ts'
import type { RestClient } from '../node/http-link.ts'
import type { Journal } from '../node/journal.ts'
import type { Programs } from '../programs/run.ts'
import { VERSION } from './version.ts'

export interface CsiDoorOptions {
  /** Path of the plugin's unix socket. */
  readonly socket: string
  readonly roles: readonly string[]
  /** Directories under which callers may choose where volumes are staged and published. */
  readonly roots?: readonly string[] | undefined
  /** Mesos uses it. */
  readonly mesos?: boolean | undefined
  /** Directories under the roots where nobody may, besides the node's own. */
  readonly own?: readonly string[] | undefined
}

export interface CsiDoorParts {
  readonly options: CsiDoorOptions
  readonly daemon: NodeDaemon
  /** Name of the node. */
  readonly name: string
  readonly link: RestClient
  readonly journal: Journal
  readonly programs: Programs
  readonly bootId: string
  /** Directories of the node's own. */
  readonly own: readonly string[]
  readonly log: Logger
}

/** The CSI plugin of a node. */
export function csiDoor({ options, daemon, name, link, log, ...parts }: CsiDoorParts): CsiDoor {
  const closing = new AbortController()
  const settings = csiSettings(options)
  const node = createNodeService({
    ...parts,
    node: daemon,
    name,
    rest: link,
    own: [...parts.own, ...(options.own ?? [])],
    settings,
    closing: closing.signal,
    warn: (event, data) => log.warn({ event, ...data }),
  })
  // without the controller what is here already can still be used
  const ready = () => daemon.connected || [...daemon.table.slots].some((slot) => slot.actual === 'up')
  return createCsiDoor({ socket: options.socket, version: VERSION, node, ready, log, closing })
}
