import type { Operation, OperationInfo, OperationState, OperationStatus, Resource } from '../../../mesos/resource.ts'
import type { Conversion } from '../advertise/conversion.ts'

/** An operation from its APPLY_OPERATION to its acknowledgement: under `operation/<id>` in the journal. */
export interface OperationRecord {
  /** The text form of its UUID. */
  readonly id: string
  /** As Mesos writes it, base64. */
  readonly uuid: string
  readonly poolId: string
  /** Absent for an operator's. */
  readonly frameworkId?: string
  readonly info: OperationInfo
  /** Of a disk that is being made or unmade, once the controller has given it. */
  volumeId?: string
  /** How it ended. Absent: it is under way. */
  status?: OperationStatus
  /** What an ended CREATE_DISK or DESTROY_DISK does to the totals. */
  conversion?: Conversion
  /** An UPDATE_STATE with that was sent: the status may follow. */
  carried?: boolean
  /** The controller has something under its UUID, and is told when it may forget that. */
  known?: boolean
}

export interface Ending {
  readonly state: OperationState
  readonly message?: string
  readonly converted?: readonly Resource[]
}

/** The status that is sent until it is acknowledged. */
export function statusOf(
  { info }: OperationRecord,
  { state, message, converted }: Ending,
  providerId: string,
  uuid: string,
): OperationStatus {
  return {
    ...(info.id === undefined ? {} : { operation_id: info.id }),
    state,
    ...(message === undefined ? {} : { message }),
    ...(converted === undefined ? {} : { converted_resources: converted }),
    uuid: { value: uuid },
    resource_provider_id: { value: providerId },
  }
}

/** As UPDATE_STATE lists it. */
export function reported(record: OperationRecord, agentId: string, providerId: string): Operation {
  const { frameworkId, info, status, uuid } = record
  const pending: OperationStatus = {
    ...(info.id === undefined ? {} : { operation_id: info.id }),
    state: 'OPERATION_PENDING',
    resource_provider_id: { value: providerId },
  }
  return {
    ...(frameworkId === undefined ? {} : { framework_id: { value: frameworkId } }),
    agent_id: { value: agentId },
    info,
    latest_status: status ?? pending,
    statuses: status === undefined ? [] : [status],
    uuid: { value: uuid },
  }
}

/** Agent and master do them before the provider is asked. */
export function isSpeculative({ type }: OperationInfo): boolean {
  return type === 'RESERVE' || type === 'UNRESERVE' || type === 'CREATE' || type === 'DESTROY'
}
