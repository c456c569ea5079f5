import { Type } from 'typebox'
import { Candidate } from '../../model/candidate.ts'
import { LedgerEvent } from '../../model/event.ts'
import { Profile } from '../../model/profile.ts'
import { Token } from '../../model/token.ts'
import type { JsonSchema } from './describe-schema.ts'
import { shownSchema } from './rest-schema.ts'
import { ShownMesos, ShownProvider } from './show-mesos.ts'
import { ShownNode } from './show-nodes.ts'
import { ShownOperation } from './show-operations.ts'
import { ShownPool } from './show-pools.ts'
import { ShownRole } from './show-roles.ts'
import {
  ShownAttachment,
  ShownGroup,
  ShownHold,
  ShownSnapshot,
  ShownSnapshotGroup,
  ShownVolume,
} from './show-volumes.ts'

// the hash of a secret is nobody's business
const { hash: _, ...tokenFields } = Token.properties

const Problem: JsonSchema = {
  type: 'object',
  description: 'An RFC 9457 problem document. Further fields hold what a program may want to know.',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { type: 'string', description: '`urn:holdfast:error:CODE`' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What was wrong, where, and what would be right.' },
    code: { type: 'string', description: 'Stable; see the list of errors.' },
    considered: { type: 'array', items: { $ref: 'Candidate#' } },
  },
}

/** The schemas that the description names once and refers to. */
export const COMPONENTS = {
  Problem,
  Pool: ShownPool,
  Node: ShownNode,
  Token: shownSchema(Type.Object(tokenFields)),
  Role: ShownRole,
  Hold: ShownHold,
  Volume: ShownVolume,
  Group: ShownGroup,
  Snapshot: ShownSnapshot,
  SnapshotGroup: ShownSnapshotGroup,
  Attachment: ShownAttachment,
  Operation: ShownOperation,
  Profile: shownSchema(Profile),
  Mesos: ShownMesos,
  Provider: ShownProvider,
  Event: shownSchema(LedgerEvent),
  Candidate: shownSchema(Candidate),
} satisfies Record<string, JsonSchema>

export type Component = keyof typeof COMPONENTS

export function ref(name: Component): JsonSchema {
  return { $ref: `${name}#` }
}

/** `{volume: Volume, operation?: id}`: what slow work is answered with. */
export function slowReply(noun: 'volume' | 'snapshot' | 'pool', component: Component): JsonSchema {
  return {
    type: 'object',
    required: [noun],
    properties: {
      [noun]: ref(component),
      operation: {
        type: 'string',
        description: 'Id of the operation that does the work; absent when none is under way.',
      },
    },
    additionalProperties: false,
  }
}

/** `{volume: Volume}` */
export function wrapped(noun: string, component: Component): JsonSchema {
  return { type: 'object', required: [noun], properties: { [noun]: ref(component) }, additionalProperties: false }
}
