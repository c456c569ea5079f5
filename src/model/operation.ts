import { type Static, Type } from 'typebox'
import { Id, Millis } from './fields.ts'
import { Fault, Source } from './volume.ts'

/**
 * What an operation is for. `provision` makes a volume (object, then filesystem or copy); the others say it.
 * `mark` writes a pool's marker, `import` adopts an object, `fence` takes a lost node's access away.
 */
export const OperationKind = Type.Union([
  Type.Literal('provision'),
  Type.Literal('delete'),
  Type.Literal('grow'),
  Type.Literal('snapshot'),
  Type.Literal('delete-snapshot'),
  Type.Literal('import'),
  Type.Literal('mark'),
  Type.Literal('fence'),
])
export type OperationKind = Static<typeof OperationKind>

/** The step that is done next or now; a step is one piece of work on one node. */
export const Step = Type.Union([
  Type.Literal('create'),
  Type.Literal('format'),
  Type.Literal('copy'),
  Type.Literal('delete'),
  Type.Literal('grow'),
  Type.Literal('snapshot'),
  Type.Literal('delete-snapshot'),
  Type.Literal('import'),
  Type.Literal('mark'),
  Type.Literal('fence'),
])
export type Step = Static<typeof Step>

export const OperationState = Type.Union([
  Type.Literal('pending'),
  Type.Literal('running'),
  Type.Literal('succeeded'),
  Type.Literal('failed'),
  Type.Literal('cancelled'),
])
export type OperationState = Static<typeof OperationState>

export const Operation = Type.Object({
  id: Id,
  kind: OperationKind,
  step: Step,
  state: OperationState,
  /** What it is about. */
  subject: Type.Object({
    kind: Type.Union([
      Type.Literal('volume'),
      Type.Literal('snapshot'),
      Type.Literal('pool'),
      Type.Literal('attachment'),
    ]),
    id: Id,
  }),
  poolId: Id,
  /** What it copies from. */
  source: Type.Optional(Source),
  /** The node it must run on (where the volume is mounted, say); undefined: any that reaches the pool. */
  pinnedTo: Type.Optional(Id),
  /** Where it runs, or last ran. */
  nodeId: Type.Optional(Id),
  /** Work is keyed by (operation, attempt); the first has 1. */
  attempt: Type.Integer({ minimum: 0 }),
  /** How often it failed in a row; back-off grows with it. */
  failures: Type.Integer({ minimum: 0 }),
  /** Not to be tried before. */
  notBefore: Millis,
  /** When it is said to be overdue. */
  deadlineAt: Type.Optional(Millis),
  overdue: Type.Boolean(),
  /** The outcome of the last attempt is unknown: it is repeated on the same node first. */
  unknownOutcome: Type.Boolean(),
  /** An earlier attempt may have left a half-made object: delete it and make it again, under the new epoch. */
  recreate: Type.Boolean(),
  cancelRequested: Type.Boolean(),
  /** Step-specific: target size of a grow, node to fence, outcome. */
  detail: Type.Record(Type.String(), Type.Unknown()),
  fault: Type.Optional(Fault),
  createdAt: Millis,
  finishedAt: Type.Optional(Millis),
})
export type Operation = Static<typeof Operation>

/** Whether it will not change any more. */
export function isFinished(operation: Pick<Operation, 'state'>): boolean {
  return operation.state === 'succeeded' || operation.state === 'failed' || operation.state === 'cancelled'
}
