/**
 * Every error that Holdfast can answer, in one table. The documentation page `docs/errors.md` is generated from
 * it, so a code is written here once and means the same at every door.
 *
 * - `status`: HTTP status of the REST door.
 * - `exit`: exit code of the command line (1 failed, 2 usage, 3 does not fit, 4 not found, 5 conflict, 6 not allowed).
 * - `retry`: `no` (the same request will fail again), `later` (may succeed unchanged), `same-key` (the outcome is
 *   unknown: repeat it with the same idempotency key, and on the same node if it was work).
 */
export const ERRORS = {
  // bad input
  invalid_request: { title: 'The request is malformed', status: 400, exit: 2, retry: 'no' },
  invalid_size: { title: 'The size is not acceptable', status: 400, exit: 2, retry: 'no' },
  invalid_name: { title: 'The name is not acceptable', status: 400, exit: 2, retry: 'no' },
  invalid_option: { title: 'An option is unknown or has a bad value', status: 400, exit: 2, retry: 'no' },
  invalid_cursor: { title: 'The page cursor is not one of ours', status: 400, exit: 2, retry: 'no' },
  body_too_large: { title: 'The request body is too large', status: 413, exit: 2, retry: 'no' },
  unsupported_media_type: { title: 'The request body is not JSON', status: 415, exit: 2, retry: 'no' },
  method_not_allowed: { title: 'This method is not available here', status: 405, exit: 2, retry: 'no' },
  // who
  unauthenticated: { title: 'No valid token was given', status: 401, exit: 6, retry: 'no' },
  forbidden: { title: 'The token does not allow this', status: 403, exit: 6, retry: 'no' },
  role_not_allowed: { title: 'This caller may not use that role', status: 403, exit: 6, retry: 'no' },
  // does not fit
  does_not_fit: { title: 'There is no place for this', status: 409, exit: 3, retry: 'later' },
  quota_exceeded: { title: 'The quota of the role does not allow this', status: 409, exit: 3, retry: 'later' },
  node_full: { title: 'The node cannot take another attachment', status: 409, exit: 3, retry: 'later' },
  hold_too_small: { title: 'The hold has less left than was asked', status: 409, exit: 3, retry: 'no' },
  object_too_large: { title: 'The pool cannot make an object of this size', status: 409, exit: 3, retry: 'no' },
  group_too_large: { title: 'A group has at most 16 volumes', status: 400, exit: 2, retry: 'no' },
  // not found
  not_found: { title: 'There is no such thing', status: 404, exit: 4, retry: 'no' },
  gone: { title: 'That part of the history is no longer kept', status: 410, exit: 4, retry: 'no' },
  // conflict
  name_taken: { title: 'The name is taken', status: 409, exit: 5, retry: 'no' },
  key_conflict: { title: 'The idempotency key was used with other parameters', status: 409, exit: 5, retry: 'no' },
  in_use: { title: 'It is in use', status: 409, exit: 5, retry: 'later' },
  protected: { title: 'The volume is protected against deletion', status: 409, exit: 5, retry: 'no' },
  wrong_state: { title: 'Its state does not allow this', status: 409, exit: 5, retry: 'later' },
  held_elsewhere: { title: 'Another node holds the volume', status: 409, exit: 5, retry: 'later' },
  awaiting_proof: {
    title: 'A lost node holds the volume until it is proven gone',
    status: 409,
    exit: 5,
    retry: 'later',
  },
  stale_epoch: { title: 'The epoch is not the current one', status: 409, exit: 5, retry: 'no' },
  stale_session: { title: 'The node session is not the current one', status: 409, exit: 5, retry: 'no' },
  node_id_in_use: { title: 'Another machine holds a session for this node', status: 409, exit: 5, retry: 'later' },
  marker_conflict: { title: 'The storage carries the marker of another pool', status: 409, exit: 5, retry: 'no' },
  deficit: { title: 'In deficit: only what lowers use is accepted', status: 409, exit: 3, retry: 'later' },
  snapshot_needs_idle: {
    title: 'This pool can only snapshot a volume that is idle',
    status: 409,
    exit: 5,
    retry: 'later',
  },
  unsupported: { title: 'The driver of this pool cannot do that', status: 409, exit: 1, retry: 'no' },
  clock_suspended: { title: 'Expiry is suspended after a jump of the clock', status: 409, exit: 5, retry: 'no' },
  // storage
  no_reach: { title: 'The node does not reach the pool', status: 409, exit: 1, retry: 'later' },
  no_marker: { title: 'The storage does not carry the marker of the pool', status: 409, exit: 1, retry: 'later' },
  storage_full: { title: 'The storage is out of space', status: 507, exit: 1, retry: 'later' },
  storage_read_only: { title: 'The storage is read-only', status: 409, exit: 1, retry: 'later' },
  object_missing: { title: 'The object is not on the storage', status: 409, exit: 1, retry: 'no' },
  object_exists: { title: 'An object of that name is already on the storage', status: 409, exit: 5, retry: 'no' },
  foreign_content: { title: 'The content is not what the record says', status: 409, exit: 1, retry: 'no' },
  not_blank: { title: 'The object is not blank and will not be formatted', status: 409, exit: 1, retry: 'no' },
  storage_failed: { title: 'A storage command failed', status: 500, exit: 1, retry: 'later' },
  storage_timeout: { title: 'A storage command did not finish in time', status: 504, exit: 1, retry: 'same-key' },
  stuck: { title: 'A storage command could not be ended', status: 504, exit: 1, retry: 'same-key' },
  still_mounted: { title: 'Something still uses the mount', status: 409, exit: 5, retry: 'later' },
  cancelled: { title: 'It was cancelled', status: 409, exit: 1, retry: 'no' },
  interrupted: { title: 'The node restarted in the middle of it', status: 409, exit: 1, retry: 'later' },
  mount_root_not_allowed: {
    title: 'That mount point is outside the allowed roots',
    status: 403,
    exit: 6,
    retry: 'no',
  },
  // Mesos
  mesos_unreachable: { title: 'Mesos does not answer', status: 503, exit: 1, retry: 'later' },
  mesos_refused: { title: 'Mesos refused the call', status: 502, exit: 1, retry: 'no' },
  mesos_protocol: {
    title: 'Something in the place of Mesos or ZooKeeper breaks the protocol',
    status: 502,
    exit: 1,
    retry: 'later',
  },
  // the service itself
  unknown_outcome: {
    title: 'The outcome is unknown; repeat with the same key',
    status: 503,
    exit: 1,
    retry: 'same-key',
  },
  not_ready: { title: 'The controller is not ready', status: 503, exit: 1, retry: 'later' },
  overloaded: { title: 'Too many requests are waiting', status: 503, exit: 1, retry: 'later' },
  unreachable: { title: 'The controller does not answer', status: 503, exit: 1, retry: 'same-key' },
  node_unreachable: {
    title: 'The node daemon of this machine does not answer',
    status: 503,
    exit: 1,
    retry: 'same-key',
  },
  state_dir: { title: 'The state directory cannot be used', status: 500, exit: 1, retry: 'no' },
  store_corrupt: { title: 'The store is damaged', status: 500, exit: 1, retry: 'no' },
  store_schema: { title: 'The store was written by a newer version', status: 500, exit: 1, retry: 'no' },
  fenced: { title: 'Another controller leads', status: 503, exit: 1, retry: 'later' },
  internal: { title: 'Something went wrong inside', status: 500, exit: 1, retry: 'same-key' },
} as const satisfies Record<string, ErrorRow>

export interface ErrorRow {
  readonly title: string
  readonly status: number
  readonly exit: 1 | 2 | 3 | 4 | 5 | 6
  readonly retry: 'no' | 'later' | 'same-key'
}

export type ErrorCode = keyof typeof ERRORS

/** Whether a text (from another process, say) is one of our codes. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(ERRORS, text)
}

/**
 * The one error class. `message` is the sentence for a person (what was wrong, where, and what would be right);
 * `data` is what a program may want to know (numbers compared, candidates considered).
 */
export class HoldfastError extends Error {
  readonly code: ErrorCode
  readonly data: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, data: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = 'HoldfastError'
    this.code = code
    this.data = data
  }

  get row(): ErrorRow {
    return ERRORS[this.code]
  }
}

/** The one funnel from anything thrown to a coded error. */
export function asHoldfastError(thrown: unknown): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new HoldfastError('internal', message, {}, { cause: thrown })
}
