import type { Driver } from '../drivers/driver.ts'
import { createLoopDriver, type LoopDriverDeps } from '../drivers/loop.ts'
import { createRexrayDriver } from '../drivers/rexray.ts'

export interface DriverParts extends LoopDriverDeps {
  /** Where drivers keep what they mount and what must outlive the daemon: a directory of the node's own. */
  readonly directory: string
}

/** All drivers that a node has, by the name that pools call them. */
export function nodeDrivers({ programs, filesystems }: DriverParts): Driver[] {
  return [createLoopDriver({ programs, filesystems }), createRexrayDriver({ programs, filesystems })]
}
