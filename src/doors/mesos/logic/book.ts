import type { Projection } from '../../../mesos/projection.ts'
import type { ProviderInfo } from '../../../mesos/provider-protocol.ts'
import { parsePoolName } from '../../../model/names.ts'
import { type AgentState, currentOf, newAgent, type PoolState, poolOf } from '../advertise/agent-state.ts'
import type { Place } from '../advertise/disk-resources.ts'
import type { Shown } from '../advertise/shown.ts'
import type { Desk } from './desk.ts'

/** One pool at the agent: one resource provider. */
export interface ProviderState {
  readonly poolId: string
  /** Type and name, which stay the same for as long as the id does. */
  readonly info: { readonly type: string; readonly name: string }
  providerId?: string
  /** An id that the agent does not know: it is not tried again. */
  rejectedId?: string
  /** Of the last UPDATE_STATE that was sent, base64: an operation made on another version is dropped. */
  versionUuid: string
  stream: 'none' | 'opening' | 'open'
  /** Subscriptions that failed since the last one that worked. */
  failures: number
  /** An operator marked it gone at the agent: it is not subscribed again by this process. */
  tornDown: boolean
  /** Why it has no stream. */
  problem?: string
}

/** What is written down of a provider under `provider/<pool id>`. */
export interface ProviderEntry {
  readonly poolId: string
  readonly info: { readonly type: string; readonly name: string }
  readonly providerId?: string
  readonly tornDown?: boolean
}

/** Under `shown/<pool id>`: what the agent was told last, before it was told. */
export interface ShownEntry {
  readonly shown: Shown
  readonly versionUuid: string
  /** What the controller wanted then: it may be away when this is read. */
  readonly projection?: Projection
}

/** What all parts of the logic know. */
export class Book {
  readonly desk: Desk
  readonly agentUrl: string
  readonly agent: AgentState = newAgent()
  readonly providers = new Map<string, ProviderState>()
  /** As Mesos calls it; known once the agent has registered with a master. */
  agentId: string | undefined
  /** Where the node daemon mounts volumes. */
  mountRoot: string | undefined
  stopping = false
  /** What was shown when the planned stop began: tasks that are just being started were promised that. */
  readonly shownBeforeStop = new Map<string, Shown>()

  constructor(desk: Desk, agentUrl: string) {
    this.desk = desk
    this.agentUrl = agentUrl
  }

  pool(poolId: string): PoolState {
    return poolOf(this.agent, poolId)
  }

  /** The provider of a pool, which is made when it is new. */
  provider(projection: Projection): ProviderState {
    const known = this.providers.get(projection.poolId)
    if (known !== undefined) return known
    const made: ProviderState = {
      poolId: projection.poolId,
      info: providerInfo(projection.pool),
      versionUuid: '',
      stream: 'none',
      failures: 0,
      tornDown: false,
    }
    this.providers.set(made.poolId, made)
    return made
  }

  byProviderId(id: string | undefined): ProviderState | undefined {
    return [...this.providers.values()].find(({ providerId }) => providerId !== undefined && providerId === id)
  }

  /** Undefined before the first subscription, or before the node daemon was ever asked. */
  place({ providerId }: ProviderState): Place | undefined {
    if (providerId === undefined || this.mountRoot === undefined) return undefined
    return { providerId, mountRoot: this.mountRoot }
  }

  saveProvider({ poolId, info, providerId, tornDown }: ProviderState): void {
    const entry: ProviderEntry = { poolId, info, ...(providerId === undefined ? {} : { providerId }), tornDown }
    this.desk.write(`provider/${poolId}`, entry)
  }

  saveShown({ poolId, versionUuid }: ProviderState): void {
    const pool = this.pool(poolId)
    const shown = currentOf(pool)
    if (shown === undefined) {
      this.desk.write(`shown/${poolId}`, null)
      return
    }
    const { projection, wantedRaw: raw, wantedDisks } = pool
    const disks = [...wantedDisks.values()].map((disk) => ({ ...disk, usedHere: false }))
    const wanted = projection === undefined ? {} : { projection: { ...projection, raw, disks } }
    this.desk.write(`shown/${poolId}`, { shown, versionUuid, ...wanted } satisfies ShownEntry)
  }
}

/**
 * `org.holdfast.<pool type>`, as Mesos wants types (reverse domain names), and the pool's name in the characters that
 * it takes for names.
 */
function providerInfo(pool: string): Pick<ProviderInfo, 'type' | 'name'> {
  const type = parsePoolName(pool)
    .type.toLowerCase()
    .replace(/[^a-z0-9_.-]/g, '-')
  return { type: `org.holdfast.${type}`, name: pool.replace(/[^A-Za-z0-9_-]/g, '-') }
}
