/** What masters, agents and frameworks say to each other, as far as the double of Mesos needs it (v1 JSON). */
import type { OperationInfo, OperationStatus, Resource, Value } from '../../../src/mesos/resource.ts'
import type { ContainerInfo } from './container-info.ts'

export type { OperationInfo, OperationStatus, Resource, Value } from '../../../src/mesos/resource.ts'

export interface FrameworkInfo {
  readonly user: string
  readonly name: string
  readonly id?: Value
  readonly roles?: readonly string[]
  readonly principal?: string
  readonly failover_timeout?: number
  readonly checkpoint?: boolean
  readonly hostname?: string
  readonly capabilities?: readonly { readonly type: string }[]
}

export interface Attribute {
  readonly name: string
  readonly type: string
  readonly text?: { readonly value: string }
  readonly scalar?: { readonly value: number }
}

export interface Offer {
  readonly id: Value
  readonly framework_id: Value
  readonly agent_id: Value
  readonly hostname: string
  readonly url: object
  readonly resources: readonly Resource[]
  readonly attributes?: readonly Attribute[]
  readonly allocation_info: { readonly role: string }
}

export interface CommandInfo {
  readonly value?: string
  readonly environment?: { readonly variables?: readonly { readonly name: string; readonly value?: string }[] }
}

export interface ExecutorInfo {
  readonly executor_id: Value
  readonly framework_id?: Value
  readonly name?: string
  readonly resources?: readonly Resource[]
  readonly command?: CommandInfo
}

export interface TaskInfo {
  readonly name: string
  readonly task_id: Value
  readonly agent_id: Value
  readonly resources?: readonly Resource[]
  readonly command?: CommandInfo
  readonly executor?: ExecutorInfo
  readonly container?: ContainerInfo
}

/** An operation with the members that our own code never reads. */
export interface OfferOperation extends OperationInfo {
  readonly launch?: { readonly task_infos?: readonly TaskInfo[] }
  readonly launch_group?: {
    readonly executor?: ExecutorInfo
    readonly task_group?: { readonly tasks?: readonly TaskInfo[] }
  }
  readonly grow_volume?: { readonly volume: Resource; readonly addition: Resource }
  readonly shrink_volume?: { readonly volume: Resource; readonly subtract: { readonly value: number } }
}

export type TaskState =
  | 'TASK_STAGING'
  | 'TASK_STARTING'
  | 'TASK_RUNNING'
  | 'TASK_KILLING'
  | 'TASK_FINISHED'
  | 'TASK_FAILED'
  | 'TASK_KILLED'
  | 'TASK_ERROR'
  | 'TASK_LOST'
  | 'TASK_DROPPED'
  | 'TASK_UNREACHABLE'
  | 'TASK_GONE'
  | 'TASK_GONE_BY_OPERATOR'
  | 'TASK_UNKNOWN'

export interface TaskStatus {
  readonly task_id: Value
  readonly state: TaskState
  readonly message?: string
  readonly source?: 'SOURCE_MASTER' | 'SOURCE_AGENT' | 'SOURCE_EXECUTOR'
  readonly reason?: string
  readonly agent_id?: Value
  readonly executor_id?: Value
  readonly timestamp?: number
  readonly uuid?: string
  readonly container_status?: object
}

/** A task as GET_TASKS lists it. */
export interface Task {
  readonly name: string
  readonly task_id: Value
  readonly framework_id: Value
  readonly executor_id?: Value
  readonly agent_id: Value
  state: TaskState
  readonly resources: readonly Resource[]
  statuses: TaskStatus[]
  status_update_state?: TaskState
  status_update_uuid?: string
}

/** An operation as master and agent track it. */
export interface TrackedOperation {
  readonly framework_id?: Value
  readonly agent_id?: Value
  readonly info: OfferOperation
  latest_status: OperationStatus
  statuses: OperationStatus[]
  readonly uuid: Value
}

export interface ProviderInfoWithId {
  readonly id: Value
  readonly type: string
  readonly name: string
}

/** One provider as an agent reports it to its master. */
export interface ReportedProvider {
  readonly info: ProviderInfoWithId
  readonly total: readonly Resource[]
  /** Base64. */
  readonly version: string
  readonly operations: readonly TrackedOperation[]
}

const TERMINAL_TASK: readonly TaskState[] = [
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
]

export function isTerminalTask(state: TaskState): boolean {
  return TERMINAL_TASK.includes(state)
}

export function isTerminalOperation(state: OperationStatus['state']): boolean {
  return ['FINISHED', 'FAILED', 'ERROR', 'DROPPED', 'GONE_BY_OPERATOR'].some((end) => state === `OPERATION_${end}`)
}

/** RESERVE, UNRESERVE, CREATE and DESTROY are taken as done by master and agent before a provider has said anything. */
export function isSpeculative(info: { readonly type: string }): boolean {
  return ['RESERVE', 'UNRESERVE', 'CREATE', 'DESTROY'].includes(info.type)
}
