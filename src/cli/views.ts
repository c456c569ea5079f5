import type { Attachment } from '../model/attachment.ts'
import type { Candidate } from '../model/candidate.ts'
import type { LedgerEvent } from '../model/event.ts'
import type { Hold } from '../model/hold.ts'
import type { Node } from '../model/node.ts'
import type { Operation } from '../model/operation.ts'
import type { Pool } from '../model/pool.ts'
import type { Profile } from '../model/profile.ts'
import type { Deficit } from '../model/records.ts'
import type { Quota } from '../model/role.ts'
import type { Token } from '../model/token.ts'
import type { Fault, Group, Snapshot, Volume } from '../model/volume.ts'

// What the API shows of each record: times as RFC 3339 text, and what it derives. Types only: nothing is loaded.

type Times =
  | 'createdAt'
  | 'finishedAt'
  | 'expiresAt'
  | 'purgeAt'
  | 'lostAt'
  | 'notBefore'
  | 'deadlineAt'
  | 'since'
  | 'at'
  | 'from'
  | 'to'
type Shown<T> = {
  [K in keyof T]: K extends Times
    ? string
    : T[K] extends (infer I)[]
      ? Shown<I>[]
      : T[K] extends object
        ? Shown<T[K]>
        : T[K]
}

export type DeficitView = Shown<Deficit>

export interface PoolUsage {
  readonly limitMiB: number
  readonly usedMiB: number
  readonly heldMiB: number
  readonly freeMiB: number
  readonly iopsLimit: number | null
  readonly iopsUsed: number
  readonly iopsHeld: number
  readonly iopsFree: number | null
}

export type PoolView = Shown<Omit<Pool, 'overcommitThousandths' | 'storage'>> & {
  readonly overcommit: number
  readonly usage: PoolUsage
  readonly storage?: { readonly sizeMiB: number; readonly freeMiB: number; readonly at: string }
  readonly thin: boolean
  readonly lowOnStorage: boolean
  readonly nodes: number
  readonly deficit?: DeficitView[]
}

export type NodeView = Shown<Omit<Node, 'session'>> & {
  readonly attachments: number
  readonly attachmentsFree: number
  readonly bandwidthUsed: number
  readonly connected: boolean
}

export interface RoleView {
  readonly role: string
  readonly quota: Quota
  readonly used: { readonly sizeMiB: number; readonly iops: number }
  readonly held: { readonly sizeMiB: number; readonly iops: number }
  readonly free: { readonly sizeMiB: number | null; readonly iops: number | null }
  readonly deficit?: DeficitView[]
}

export type HoldView = Shown<Omit<Hold, 'expiresAt'>> & {
  readonly expiresAt?: string
  readonly pool: string
  readonly remainingMiB: number
  readonly remainingIops: number
}

export type AttachmentView = Shown<Attachment> & {
  readonly volume: string
  readonly node: string
  readonly ageSeconds: number
}

export type VolumeView = Shown<Omit<Volume, 'purgeAt'>> & {
  readonly purgeAt?: string
  readonly pool: string
  readonly inUse: boolean
  readonly attachments: AttachmentView[]
  readonly operations: string[]
  readonly trashSecondsLeft?: number
  readonly iopsEnforced: string
}

export type SnapshotView = Shown<Snapshot> & {
  readonly volume: string
  readonly pool: string
  readonly operations: string[]
}

export type GroupView = Shown<Group> & {
  readonly members: { readonly id: string; readonly name: string; readonly state: string }[]
}

export type OperationView = Shown<Omit<Operation, 'deadlineAt' | 'finishedAt' | 'fault'>> & {
  readonly deadlineAt?: string
  readonly finishedAt?: string
  readonly fault?: Fault
  readonly subjectName?: string
  readonly pool: string
  readonly node?: string
  readonly progress?: number
  readonly waitingFor?: string
}

export type ProfileView = Shown<Profile>

export type TokenView = Shown<Omit<Token, 'hash' | 'expiresAt'>> & { readonly expiresAt?: string }
export type EventView = Shown<LedgerEvent>

export interface StuckView {
  readonly kind: string
  readonly id: string
  readonly name?: string
  readonly state: string
  readonly node?: string
  readonly sinceSeconds?: number
  readonly reason: string
}

export interface StatusView {
  readonly installation: string
  readonly revision: number
  readonly version: string
  readonly time: string
  readonly leading: boolean
  readonly clock: { readonly suspended?: { readonly from: string; readonly to: string } }
  readonly pools: readonly { readonly id: string; readonly name: string; readonly usage: PoolUsage }[]
  readonly nodes: { readonly up: number; readonly lost: number; readonly joined: number; readonly items: NodeView[] }
  readonly operations: {
    readonly pending: number
    readonly running: number
    readonly overdue: number
    readonly failedRecently: number
    readonly items: OperationView[]
  }
  readonly stuck: StuckView[]
  readonly deficits: DeficitView[]
  readonly mesosGuard?: { readonly state: string; readonly why: readonly string[] }
}

export interface ExplainView {
  readonly fits: boolean
  readonly plan?: { readonly name: string; readonly pool: string; readonly node?: string }[]
  readonly refusal?: { readonly code: string; readonly detail: string }
  readonly considered: Candidate[][]
  readonly nodes: Candidate[]
}

export interface HazardView {
  readonly code: string
  readonly severity: 'stops' | 'danger' | 'note'
  readonly where: string
  readonly sentence: string
  readonly advice: string
}

/** What a provider process says of itself; one of another version may say less. */
export interface ProviderReportView {
  readonly state?: string
  readonly problem?: string
  readonly version?: string
  readonly operations?: number
  readonly unacknowledged?: number
  readonly advertisedMiB?: number
  readonly disks?: number
  readonly usedDisks?: number
  readonly lastFailure?: { readonly message: string; readonly at: string }
}

export interface ProviderView {
  readonly node: string
  readonly pool: string
  readonly agentId?: string
  readonly providerId?: string
  readonly connected: boolean
  readonly report?: ProviderReportView
}

export interface MesosView {
  readonly principal: string
  readonly guard: { readonly state: string; readonly why: readonly string[]; readonly at?: string }
  readonly masters: readonly {
    readonly url: string
    readonly leading: boolean
    readonly version?: string
    readonly trouble?: string
  }[]
  readonly hazards: readonly HazardView[]
  readonly pools: readonly {
    readonly name: string
    readonly mesos: { readonly roles: readonly string[]; readonly unreserved: boolean; readonly float: boolean }
    readonly shrink?: string
    readonly providers: number
  }[]
  readonly agents: readonly {
    readonly node: string
    readonly connected: boolean
    readonly at?: string
    readonly agent?: { readonly url: string; readonly agentId?: string; readonly state?: string }
  }[]
  readonly providers: readonly ProviderView[]
  readonly providerCount: number
  readonly cluster?: {
    readonly agentCount: number
    readonly frameworks: number
    readonly tasks: number
    readonly operations?: number
    readonly agents: readonly {
      readonly id: string
      readonly hostname: string
      readonly active: boolean
      readonly tasks: number
      readonly providers: readonly { readonly id: string; readonly totalMiB: number; readonly offeredMiB: number }[]
    }[]
    readonly hints: readonly {
      readonly at: string
      readonly agentId: string
      readonly hostname?: string
      readonly sentence: string
    }[]
  }
}
