import { type Static, Type } from 'typebox'
import { Millis } from './fields.ts'

/** What one accepted command did. Its revision is its number, and the id of the server-sent event. */
export const LedgerEvent = Type.Object({
  revision: Type.Integer({ minimum: 1 }),
  at: Millis,
  /** `subject.verb`, e.g. `volume.created`. */
  type: Type.String({ maxLength: 64 }),
  subject: Type.Object({ kind: Type.String(), id: Type.String(), name: Type.Optional(Type.String()) }),
  /** Who asked: `admin`, `token tok-…`, `node node-1`, `controller`. */
  actor: Type.String({ maxLength: 255 }),
  /** What is worth knowing besides: figures, states, reasons. */
  data: Type.Record(Type.String(), Type.Unknown()),
})
export type LedgerEvent = Static<typeof LedgerEvent>
