/** Status codes of gRPC by their numbers on the wire (github.com/grpc/grpc, doc/statuscodes.md). */
export const GRPC_CODES = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

export type GrpcCode = keyof typeof GRPC_CODES

const NAMES = new Map(Object.entries(GRPC_CODES).map(([name, number]) => [number as number, name as GrpcCode]))

/** The name of a number from the wire; what gRPC does not define is UNKNOWN, as it demands. */
export function grpcCode(number: number): GrpcCode {
  return NAMES.get(number) ?? 'UNKNOWN'
}

/** A call that ended with another status than OK: thrown by handlers to say which, and by clients that were told one. */
export class GrpcError extends Error {
  readonly code: Exclude<GrpcCode, 'OK'>

  constructor(code: Exclude<GrpcCode, 'OK'>, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'GrpcError'
    this.code = code
  }
}
