import type { Logger } from 'pino'
import { createControllerService } from '../doors/csi/controller.ts'
import type { ControllerConfig } from '../doors/csi/controller-config.ts'
import { createCsiDoor } from '../doors/csi/door.ts'
import { createGroupControllerService } from '../doors/csi/group-controller.ts'
import { HttpLink } from '../node/http-link.ts'
import { VERSION } from './version.ts'

export interface CsiControllerOptions extends ControllerConfig {
  /** Path of the plugin's unix socket. */
  readonly socket: string
  /** URL of the controller. */
  readonly api: string
  /** An operator's. */
  readonly token: string
  /** PEM of the controller's authority. */
  readonly ca?: string | undefined
  readonly log: Logger
}

export interface RunningCsiController {
  stop(): Promise<void>
}

/** CSI's controller services alone, for orchestrators that want them apart from the nodes; it keeps no state. */
export async function runCsiController(options: CsiControllerOptions): Promise<RunningCsiController> {
  const { socket, api, token, ca, log, ...config } = options
  const link = new HttpLink({ api, token, ca })
  const closing = new AbortController()
  const parts = { rest: link, config, closing: closing.signal }
  const door = createCsiDoor({
    socket,
    log,
    closing,
    version: VERSION,
    ready: () => isReached(link),
    controller: createControllerService(parts),
    groupController: createGroupControllerService(parts),
  })
  try {
    await door.listen()
  } catch (thrown) {
    await link.close()
    throw thrown
  }
  log.info({ event: 'csi.listening', socket })
  return {
    async stop() {
      await door.close()
      await link.close()
    },
  }
}

/** Whether the controller answers, and to this token. */
async function isReached(link: HttpLink): Promise<boolean> {
  return link.rest('GET', '/v1/volumes?limit=1').then(
    () => true,
    () => false,
  )
}
