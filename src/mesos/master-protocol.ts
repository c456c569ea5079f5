import type { OperationInfo, Resource, Value } from './resource.ts'

/**
 * The operator API of a master, `POST /api/v1` (include/mesos/v1/master/master.proto), as far as Holdfast uses it. Empty
 * lists are left out of the JSON.
 */

/** Calls without parameters, and the member of the answer that holds what was asked for. */
export interface MasterQueries {
  readonly GET_MASTER: { readonly master_info?: MasterInfo }
  readonly GET_VERSION: { readonly version_info?: { readonly version: string } }
  readonly GET_FLAGS: { readonly flags?: readonly Flag[] }
  readonly GET_AGENTS: { readonly agents?: readonly MasterAgent[]; readonly recovered_agents?: readonly AgentInfo[] }
  readonly GET_FRAMEWORKS: { readonly frameworks?: readonly MasterFramework[] }
  readonly GET_ROLES: { readonly roles?: readonly { readonly name: string; readonly weight?: number }[] }
  readonly GET_OPERATIONS: { readonly operations?: readonly MasterOperation[] }
}

export interface Flag {
  readonly name: string
  readonly value?: string
}

export interface MasterInfo {
  readonly id: string
  readonly hostname?: string
  readonly version?: string
  readonly port?: number
  readonly capabilities?: readonly { readonly type: string }[]
}

export interface AgentInfo {
  readonly id?: Value
  readonly hostname: string
  readonly port?: number
}

export interface MasterAgent {
  readonly agent_info: AgentInfo
  readonly active?: boolean
  readonly version?: string
  /** `slave(1)@10.0.0.1:5051`: where its API is, by address. */
  readonly pid?: string
  readonly capabilities?: readonly { readonly type?: string }[]
  /** Reservations in these are written in the old way too. */
  readonly total_resources?: readonly Resource[]
  /** In offers that frameworks have not used yet. */
  readonly offered_resources?: readonly Resource[]
  readonly resource_providers?: readonly ProviderOfAgent[]
}

export interface ProviderOfAgent {
  readonly resource_provider_info: { readonly id?: Value; readonly type: string; readonly name: string }
  readonly total_resources?: readonly Resource[]
}

export interface MasterFramework {
  readonly framework_info: {
    readonly id?: Value
    readonly name: string
    readonly principal?: string
    readonly roles?: readonly string[]
  }
  readonly active?: boolean
}

export interface MasterOperation {
  readonly framework_id?: Value
  readonly agent_id?: Value
  readonly info?: OperationInfo
  readonly uuid?: Value
}

/** What an operator may change. The master answers 202 as soon as it has accepted it. */
export type MasterChange =
  | { readonly type: 'RESERVE_RESOURCES'; readonly reserve_resources: OnAgent<{ resources: readonly Resource[] }> }
  | { readonly type: 'UNRESERVE_RESOURCES'; readonly unreserve_resources: OnAgent<{ resources: readonly Resource[] }> }
  | { readonly type: 'CREATE_VOLUMES'; readonly create_volumes: OnAgent<{ volumes: readonly Resource[] }> }
  | { readonly type: 'DESTROY_VOLUMES'; readonly destroy_volumes: OnAgent<{ volumes: readonly Resource[] }> }

type OnAgent<T> = T & { readonly agent_id: Value }

/** An event of SUBSCRIBE. Only the member that the type names, in lower case, is there. */
export interface MasterEvent {
  readonly type: string
  readonly subscribed?: {
    readonly get_state?: Readonly<Record<string, unknown>>
    readonly heartbeat_interval_seconds?: number
  }
  readonly agent_added?: { readonly agent: MasterAgent }
  readonly agent_removed?: { readonly agent_id: Value }
  readonly task_added?: { readonly task: Readonly<Record<string, unknown>> }
  readonly task_updated?: Readonly<Record<string, unknown>>
  readonly framework_added?: { readonly framework: MasterFramework }
  readonly framework_updated?: { readonly framework: MasterFramework }
  readonly framework_removed?: { readonly framework_info: MasterFramework['framework_info'] }
}
