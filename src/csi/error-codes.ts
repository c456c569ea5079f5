import { type ErrorCode, HoldfastError } from '../model/errors.ts'
import { GrpcError } from './grpc-error.ts'

/**
 * The status that each of our errors has at a gRPC door. The meaning of a status is that of the CSI specification
 * (spec.md, "Error Scheme" and the tables of the calls). What matters most: an orchestrator takes CANCELLED,
 * DEADLINE_EXCEEDED, UNAVAILABLE and ABORTED for "perhaps still being worked on" and repeats the same call; after any
 * other status it may make the volume elsewhere. So an error with an unknown outcome has one of these four.
 */
export const GRPC_CODE_OF = {
  invalid_request: 'INVALID_ARGUMENT',
  invalid_size: 'OUT_OF_RANGE',
  invalid_name: 'INVALID_ARGUMENT',
  invalid_option: 'INVALID_ARGUMENT',
  // ListVolumes: a starting_token that is not one of ours
  invalid_cursor: 'ABORTED',
  body_too_large: 'INVALID_ARGUMENT',
  unsupported_media_type: 'INVALID_ARGUMENT',
  method_not_allowed: 'UNIMPLEMENTED',
  unauthenticated: 'UNAUTHENTICATED',
  forbidden: 'PERMISSION_DENIED',
  role_not_allowed: 'PERMISSION_DENIED',
  does_not_fit: 'RESOURCE_EXHAUSTED',
  quota_exceeded: 'RESOURCE_EXHAUSTED',
  node_full: 'RESOURCE_EXHAUSTED',
  hold_too_small: 'RESOURCE_EXHAUSTED',
  object_too_large: 'OUT_OF_RANGE',
  group_too_large: 'INVALID_ARGUMENT',
  not_found: 'NOT_FOUND',
  gone: 'OUT_OF_RANGE',
  name_taken: 'ALREADY_EXISTS',
  key_conflict: 'ALREADY_EXISTS',
  in_use: 'FAILED_PRECONDITION',
  protected: 'FAILED_PRECONDITION',
  wrong_state: 'FAILED_PRECONDITION',
  held_elsewhere: 'FAILED_PRECONDITION',
  awaiting_proof: 'FAILED_PRECONDITION',
  stale_epoch: 'ABORTED',
  stale_session: 'ABORTED',
  node_id_in_use: 'FAILED_PRECONDITION',
  marker_conflict: 'FAILED_PRECONDITION',
  deficit: 'RESOURCE_EXHAUSTED',
  snapshot_needs_idle: 'FAILED_PRECONDITION',
  unsupported: 'INVALID_ARGUMENT',
  clock_suspended: 'FAILED_PRECONDITION',
  no_reach: 'FAILED_PRECONDITION',
  no_marker: 'FAILED_PRECONDITION',
  storage_full: 'RESOURCE_EXHAUSTED',
  storage_read_only: 'FAILED_PRECONDITION',
  object_missing: 'NOT_FOUND',
  object_exists: 'ALREADY_EXISTS',
  foreign_content: 'FAILED_PRECONDITION',
  not_blank: 'FAILED_PRECONDITION',
  storage_failed: 'INTERNAL',
  storage_timeout: 'DEADLINE_EXCEEDED',
  stuck: 'DEADLINE_EXCEEDED',
  still_mounted: 'FAILED_PRECONDITION',
  cancelled: 'ABORTED',
  interrupted: 'ABORTED',
  mount_root_not_allowed: 'PERMISSION_DENIED',
  mesos_unreachable: 'UNAVAILABLE',
  mesos_refused: 'FAILED_PRECONDITION',
  mesos_protocol: 'UNAVAILABLE',
  unknown_outcome: 'UNAVAILABLE',
  not_ready: 'UNAVAILABLE',
  overloaded: 'UNAVAILABLE',
  unreachable: 'UNAVAILABLE',
  node_unreachable: 'UNAVAILABLE',
  state_dir: 'INTERNAL',
  store_corrupt: 'INTERNAL',
  store_schema: 'INTERNAL',
  fenced: 'UNAVAILABLE',
  internal: 'INTERNAL',
} as const satisfies Record<ErrorCode, GrpcError['code']>

/** The one funnel from anything that a handler throws to a status. */
export function asGrpcError(thrown: unknown): GrpcError {
  if (thrown instanceof GrpcError) return thrown
  if (thrown instanceof HoldfastError) {
    return new GrpcError(GRPC_CODE_OF[thrown.code], thrown.message, { cause: thrown })
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new GrpcError('INTERNAL', message, { cause: thrown })
}
