import assert from 'node:assert/strict'
import { Compile } from 'typebox/compile'
import { Attachment } from '../../../src/model/attachment.ts'
import { Hold } from '../../../src/model/hold.ts'
import { Guard, Provider } from '../../../src/model/mesos.ts'
import { Node } from '../../../src/model/node.ts'
import { Operation } from '../../../src/model/operation.ts'
import { Pool } from '../../../src/model/pool.ts'
import { Profile } from '../../../src/model/profile.ts'
import { type Change, ClockSuspension, Deficit, KeyRecord, type RecordKind } from '../../../src/model/records.ts'
import { Role } from '../../../src/model/role.ts'
import { Token } from '../../../src/model/token.ts'
import { Group, Snapshot, Volume } from '../../../src/model/volume.ts'
import { same } from './same.ts'

const SCHEMAS: Record<RecordKind, { Check(value: unknown): boolean; Errors(value: unknown): unknown }> = {
  pool: Compile(Pool),
  node: Compile(Node),
  role: Compile(Role),
  hold: Compile(Hold),
  volume: Compile(Volume),
  snapshot: Compile(Snapshot),
  group: Compile(Group),
  attachment: Compile(Attachment),
  operation: Compile(Operation),
  token: Compile(Token),
  key: Compile(KeyRecord),
  deficit: Compile(Deficit),
  clock: Compile(ClockSuspension),
  profile: Compile(Profile),
  provider: Compile(Provider),
  guard: Compile(Guard),
}

/** A record fits its schema, is the same after a trip through JSON, and cannot be changed in place from now on. */
export function checkChange(change: Change): void {
  const { kind, id, record } = change
  if (record === undefined) return
  assert.equal(record.id, id)
  const schema = SCHEMAS[kind]
  if (!schema.Check(record)) assert.fail(`${kind} ${id}: ${JSON.stringify(schema.Errors(record))}`)
  same(JSON.parse(JSON.stringify(record)), record, `${kind} ${id} survives JSON`)
  deepFreeze(record)
}

export function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const each of Object.values(value)) deepFreeze(each)
}
