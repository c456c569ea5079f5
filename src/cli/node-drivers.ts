import { join } from 'node:path'
import { createCsiDriver } from '../drivers/csi.ts'
import { createDockerDriver } from '../drivers/docker.ts'
import type { Driver } from '../drivers/driver.ts'
import { createGlusterDriver } from '../drivers/gluster.ts'
import { createIscsiDriver } from '../drivers/iscsi.ts'
import { createLoopDriver, type LoopDriverDeps } from '../drivers/loop.ts'
import { createRexrayDriver } from '../drivers/rexray.ts'

export interface DriverParts extends LoopDriverDeps {
  /** Where drivers keep what they mount and what must outlive the daemon: a directory of the node's own. */
  readonly directory: string
  readonly log?: (event: string, data: Record<string, unknown>) => void
}

/** All drivers that a node has, by the name that pools call them. */
export function nodeDrivers({ programs, filesystems, directory, log }: DriverParts): Driver[] {
  return [
    createLoopDriver({ programs, filesystems }),
    createDockerDriver({ programs, directory: join(directory, 'docker') }),
    createCsiDriver({ programs, filesystems, directory: join(directory, 'csi') }),
    createRexrayDriver({ programs, filesystems }),
    createGlusterDriver({ programs, filesystems, directory: join(directory, 'gluster') }),
    createIscsiDriver({
      programs,
      filesystems,
      directory: join(directory, 'iscsi'),
      ...(log === undefined ? {} : { log }),
    }),
  ]
}
