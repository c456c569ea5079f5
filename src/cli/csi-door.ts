import type { Logger } from 'pino'
import { csiSettings } from '../doors/csi/config.ts'
import { createControllerService } from '../doors/csi/controller.ts'
import { type CsiDoor, createCsiDoor } from '../doors/csi/door.ts'
import { createGroupControllerService } from '../doors/csi/group-controller.ts'
import { createNodeService } from '../doors/csi/node-service.ts'
import type { NodeDaemon } from '../node/daemon.ts'
import type { RestClient } from '../node/http-link.ts'
import type { Journal } from '../node/journal.ts'
import type { Programs } from '../programs/run.ts'
import { VERSION } from './version.ts'

export interface CsiDoorOptions {
  /** Path of the plugin's unix socket. */
  readonly socket: string
  /** The first is for volumes whose parameters name none. */
  readonly roles: readonly string[]
  /** Hours that a deleted volume can be had back. */
  readonly trashHours?: number | undefined
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

/** The CSI plugin of a node: all of its services, since any of them may be an orchestrator's controller. */
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
  const { roles, trashHours } = options
  const controller = { rest: link, config: { roles, trashHours }, closing: closing.signal }
  // without the controller what is here already can still be used
  const ready = () => daemon.connected || [...daemon.table.slots].some((slot) => slot.actual === 'up')
  return createCsiDoor({
    ...{ socket: options.socket, version: VERSION, ready, log, closing, node },
    controller: createControllerService(controller),
    groupController: createGroupControllerService(controller),
  })
}
