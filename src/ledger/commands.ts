import type { AttachmentCommand } from './attachments.ts'
import type { ClockCommand } from './clock.ts'
import type { HoldCommand } from './holds.ts'
import type { NodeCommand } from './nodes.ts'
import type { OperationCommand } from './operations.ts'
import type { PoolCommand } from './pools.ts'
import type { ProfileCommand } from './profiles.ts'
import type { ProviderCommand } from './providers.ts'
import type { RoleCommand } from './roles.ts'
import type { SnapshotCommand } from './snapshots.ts'
import type { TokenCommand } from './tokens.ts'
import type { VolumeCommand } from './volumes.ts'

/** Everything that can be asked of the ledger. */
export type Command =
  | PoolCommand
  | NodeCommand
  | RoleCommand
  | HoldCommand
  | VolumeCommand
  | SnapshotCommand
  | AttachmentCommand
  | OperationCommand
  | TokenCommand
  | ClockCommand
  | ProfileCommand
  | ProviderCommand

export type CommandOf<K extends Command['kind']> = Extract<Command, { kind: K }>
