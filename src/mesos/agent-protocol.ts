import type { AgentInfo, Flag, ProviderOfAgent } from './master-protocol.ts'
import type { Resource, Value } from './resource.ts'

/**
 * The operator API of an agent, `POST /api/v1` (include/mesos/v1/agent/agent.proto), as far as Holdfast uses it. Empty
 * lists are left out of the JSON, and so are messages that hold nothing else.
 */
export interface AgentQueries {
  readonly GET_AGENT: { readonly agent_info?: AgentInfo }
  readonly GET_FLAGS: { readonly flags?: readonly Flag[] }
  readonly GET_VERSION: { readonly version_info?: { readonly version: string } }
  readonly GET_STATE: { readonly get_tasks?: AgentTasks; readonly get_executors?: AgentExecutors }
  readonly GET_CONTAINERS: { readonly containers?: readonly AgentContainer[] }
  readonly GET_RESOURCE_PROVIDERS: { readonly resource_providers?: readonly ProviderOfAgent[] }
}

interface AgentTasks {
  readonly pending_tasks?: readonly AgentTask[]
  readonly queued_tasks?: readonly AgentTask[]
  readonly launched_tasks?: readonly AgentTask[]
  readonly terminated_tasks?: readonly AgentTask[]
  readonly completed_tasks?: readonly AgentTask[]
}

interface AgentExecutors {
  readonly executors?: readonly AgentExecutor[]
  readonly completed_executors?: readonly AgentExecutor[]
}

export interface AgentTask {
  readonly name?: string
  readonly task_id: Value
  readonly framework_id?: Value
  /** Absent for a command task, whose executor has the task's id. */
  readonly executor_id?: Value
  readonly state?: string
  readonly resources?: readonly Resource[]
}

export interface AgentExecutor {
  readonly executor_info: {
    readonly executor_id: Value
    readonly framework_id?: Value
    /** Those of a command task's executor do not name the task's volumes. */
    readonly resources?: readonly Resource[]
  }
}

export interface AgentContainer {
  readonly container_id: ContainerId
  readonly framework_id?: Value
  readonly executor_id?: Value
}

export interface ContainerId {
  readonly value: string
  /** Of a nested container: the one that it is in. */
  readonly parent?: ContainerId
}
