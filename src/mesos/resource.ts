/**
 * Words of Mesos as its v1 JSON has them (include/mesos/v1/mesos.proto of Apache Mesos, branch 1.11.x), as far as
 * Holdfast reads or writes them. Unknown fields are kept where a message is echoed. Absent lists mean empty ones.
 */

/** A wrapped string: Mesos ids. */
export interface Value {
  readonly value: string
}

export interface Label {
  readonly key: string
  readonly value?: string
}

export interface Labels {
  readonly labels?: readonly Label[]
}

/** One level of a stack of reservations; the last one is the most refined. */
export interface ReservationInfo {
  readonly type: 'STATIC' | 'DYNAMIC'
  readonly role: string
  readonly principal?: string
  readonly labels?: Labels
}

export type DiskSourceType = 'UNKNOWN' | 'PATH' | 'MOUNT' | 'BLOCK' | 'RAW'

export interface DiskSource {
  readonly type: DiskSourceType
  readonly path?: { readonly root?: string }
  /** Of a MOUNT disk with an id the agent binds `<root>/<id>/target` (Mesos src/csi/paths.cpp). */
  readonly mount?: { readonly root?: string }
  readonly vendor?: string
  /** What identifies the disk in the cluster, together with its vendor. Absent: a divisible storage pool. */
  readonly id?: string
  readonly metadata?: Labels
  readonly profile?: string
}

export interface DiskInfo {
  readonly persistence?: { readonly id: string; readonly principal?: string }
  readonly volume?: { readonly mode: 'RW' | 'RO'; readonly container_path: string; readonly host_path?: string }
  readonly source?: DiskSource
}

export interface Resource {
  readonly provider_id?: Value
  readonly name: string
  readonly type: 'SCALAR' | 'RANGES' | 'SET'
  /** Fixed point with three decimal digits; MiB for `disk` and `mem`. */
  readonly scalar?: { readonly value: number }
  readonly ranges?: { readonly range?: readonly { readonly begin: number; readonly end: number }[] }
  readonly set?: { readonly item?: readonly string[] }
  /** Set in offers and operations, never in a provider's totals. */
  readonly allocation_info?: { readonly role?: string }
  readonly reservations?: readonly ReservationInfo[]
  /** How reservations were written before they could be refined; GET_AGENTS and `/state` still have it. `*`: none. */
  readonly role?: string
  readonly reservation?: { readonly principal?: string; readonly labels?: Labels }
  readonly disk?: DiskInfo
  readonly shared?: Record<string, never>
}

export type OperationState =
  | 'OPERATION_UNSUPPORTED'
  | 'OPERATION_PENDING'
  | 'OPERATION_FINISHED'
  | 'OPERATION_FAILED'
  | 'OPERATION_ERROR'
  | 'OPERATION_DROPPED'
  | 'OPERATION_UNREACHABLE'
  | 'OPERATION_GONE_BY_OPERATOR'
  | 'OPERATION_RECOVERING'
  | 'OPERATION_UNKNOWN'

/** An operation of an offer or of the operator API. Only the member that `type` names is there. */
export interface OperationInfo {
  readonly type:
    | 'LAUNCH'
    | 'LAUNCH_GROUP'
    | 'RESERVE'
    | 'UNRESERVE'
    | 'CREATE'
    | 'DESTROY'
    | 'GROW_VOLUME'
    | 'SHRINK_VOLUME'
    | 'CREATE_DISK'
    | 'DESTROY_DISK'
  /** A framework that gives one asks for feedback. */
  readonly id?: Value
  readonly reserve?: { readonly source?: readonly Resource[]; readonly resources?: readonly Resource[] }
  readonly unreserve?: { readonly resources?: readonly Resource[] }
  readonly create?: { readonly volumes?: readonly Resource[] }
  readonly destroy?: { readonly volumes?: readonly Resource[] }
  readonly create_disk?: {
    readonly source: Resource
    readonly target_type: 'MOUNT' | 'BLOCK'
    readonly target_profile?: string
  }
  readonly destroy_disk?: { readonly source: Resource }
}

export interface OperationStatus {
  readonly operation_id?: Value
  readonly state: OperationState
  readonly message?: string
  readonly converted_resources?: readonly Resource[]
  /** Present on a status that must be acknowledged. Base64 of 16 bytes. */
  readonly uuid?: Value
  readonly agent_id?: Value
  readonly resource_provider_id?: Value
}

/** An operation as a provider reports it in UPDATE_STATE. */
export interface Operation {
  readonly framework_id?: Value
  /** Without it the master aborts when the framework is torn down (Mesos src/master/master.cpp, removeFramework). */
  readonly agent_id?: Value
  readonly info: OperationInfo
  readonly latest_status: OperationStatus
  readonly statuses?: readonly OperationStatus[]
  readonly uuid: Value
}
