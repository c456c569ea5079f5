import type { Operation, OperationInfo, OperationStatus, Resource, Value } from './resource.ts'

/**
 * The resource provider API of an agent, `POST /api/v1/resource_provider` (Mesos
 * include/mesos/v1/resource_provider/resource_provider.proto). SUBSCRIBE is answered by a stream of events in RecordIO
 * and a header `Mesos-Stream-Id`; every other call carries that header and is answered 202.
 */
export interface ProviderInfo {
  /** Absent the first time; the agent gives one. */
  readonly id?: Value
  /** Reverse domain name. Type and name must be the same in every subscription under one id. */
  readonly type: string
  readonly name: string
}

export interface ProviderSubscribe {
  readonly type: 'SUBSCRIBE'
  readonly subscribe: { readonly resource_provider_info: ProviderInfo }
}

/** The calls on an open stream. */
export type ProviderCall =
  | {
      readonly type: 'UPDATE_STATE'
      readonly resource_provider_id: Value
      readonly update_state: {
        readonly resources: readonly Resource[]
        readonly operations: readonly Operation[]
        /** Base64 of a version 4 UUID's 16 bytes. */
        readonly resource_version_uuid: Value
      }
    }
  | {
      readonly type: 'UPDATE_OPERATION_STATUS'
      readonly resource_provider_id: Value
      readonly update_operation_status: {
        readonly framework_id?: Value
        readonly operation_uuid: Value
        readonly status: OperationStatus
        readonly latest_status?: OperationStatus
      }
    }
  | {
      readonly type: 'UPDATE_PUBLISH_RESOURCES_STATUS'
      readonly resource_provider_id: Value
      readonly update_publish_resources_status: { readonly uuid: Value; readonly status: 'OK' | 'FAILED' }
    }

export interface ApplyOperation {
  readonly framework_id?: Value
  readonly info: OperationInfo
  readonly operation_uuid: Value
  /** Version of the totals on which the master decided. */
  readonly resource_version_uuid: Value
}

/** What the agent sends down the stream. */
export type ProviderEvent =
  | { readonly type: 'SUBSCRIBED'; readonly subscribed: { readonly provider_id: Value } }
  | { readonly type: 'APPLY_OPERATION'; readonly apply_operation: ApplyOperation }
  | {
      readonly type: 'PUBLISH_RESOURCES'
      readonly publish_resources: { readonly uuid: Value; readonly resources?: readonly Resource[] }
    }
  | {
      readonly type: 'ACKNOWLEDGE_OPERATION_STATUS'
      readonly acknowledge_operation_status: { readonly status_uuid: Value; readonly operation_uuid: Value }
    }
  | {
      readonly type: 'RECONCILE_OPERATIONS'
      readonly reconcile_operations: { readonly operation_uuids?: readonly Value[] }
    }
  | { readonly type: 'TEARDOWN' }
