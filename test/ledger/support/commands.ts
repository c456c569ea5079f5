import type { Command, CommandOf } from '../../../src/ledger/commands.ts'
import { ATTACHMENTS } from './commands-attachments.ts'
import { MESOS } from './commands-mesos.ts'
import { OPERATIONS } from './commands-operations.ts'
import { RESOURCES } from './commands-resources.ts'
import { VOLUMES } from './commands-volumes.ts'
import type { World } from './world.ts'

/** Makes up a command of a kind from what is there; mostly one that can be accepted. */
export type Maker<K extends Command['kind']> = (world: World) => CommandOf<K>
export type Makers = { readonly [K in Command['kind']]: Maker<K> }

export const MAKERS: Makers = { ...RESOURCES, ...VOLUMES, ...ATTACHMENTS, ...OPERATIONS, ...MESOS }

/** How often a kind is tried; 1 for all that are not named. */
const WEIGHTS: Partial<Record<Command['kind'], number>> = {
  'pool.update': 3,
  'node.session': 9,
  'node.reach': 3,
  'node.lost': 4,
  'role.set': 3,
  'hold.create': 5,
  'hold.release': 3,
  'volume.create': 20,
  'group.create': 5,
  'volume.resize': 6,
  'volume.delete': 7,
  'volume.undelete': 2,
  'volume.purge': 3,
  'volume.import': 3,
  'volume.release': 2,
  'snapshot.create': 6,
  'snapshot.group': 4,
  'snapshot.delete-group': 3,
  'snapshot.delete': 3,
  'attachment.claim': 22,
  'attachment.unclaim': 12,
  'attachment.report': 22,
  'attachment.force': 4,
  'attachment.lease-ended': 4,
  'operation.assign': 60,
  'operation.result': 60,
  'operation.cancel': 3,
  'operation.requeue': 3,
  'operations.prune': 2,
  'fence.start': 8,
  'fence.stop': 8,
  'clock.tick': 3,
  'clock.confirm': 4,
  'volume.mesos': 2,
  'profile.set': 2,
  'provider.set': 3,
  'provider.reserve': 3,
  'provider.bandwidth': 3,
  'guard.set': 2,
}

export const KINDS = Object.keys(MAKERS) as Command['kind'][]
/** Every kind as often as it weighs. */
export const WEIGHTED: readonly Command['kind'][] = KINDS.flatMap((kind) => Array(WEIGHTS[kind] ?? 1).fill(kind))

export function makeCommand(kind: Command['kind'], world: World): Command {
  return MAKERS[kind](world)
}
