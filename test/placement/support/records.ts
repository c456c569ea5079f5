import { LedgerState } from '../../../src/ledger/state.ts'
import type { Attachment } from '../../../src/model/attachment.ts'
import type { Node } from '../../../src/model/node.ts'
import type { Operation } from '../../../src/model/operation.ts'
import type { Pool, PoolCapabilities } from '../../../src/model/pool.ts'
import type { Change, RecordKind, RecordTypes } from '../../../src/model/records.ts'
import type { Volume } from '../../../src/model/volume.ts'
import type { Wish } from '../../../src/placement/pools.ts'

/** Records with what a test does not care about filled in. Ids are `<kind>-<name>`. */
export const CAPABILITIES: PoolCapabilities = {
  snapshot: 'reflink',
  grow: 'online',
  block: true,
  readOnlyMany: true,
  formats: 'holdfast',
  filesystems: ['ext4', 'xfs'],
  fence: 'same-machine',
  idempotent: [],
  maxObjectMiB: 2 ** 43,
}

export function pool(name: string, set: Partial<Pool> = {}): Pool {
  return {
    id: `pool-${name}`,
    name: `ceph~a~${name}`,
    type: 'ceph',
    instance: 'a',
    pool: name,
    uuid: '00000000-0000-4000-8000-000000000000',
    driver: 'loop',
    settings: {},
    capacityMiB: 1000,
    iops: 0,
    overcommitThousandths: 1000,
    reserveMiB: 0,
    fence: 'driver',
    labels: {},
    state: 'active',
    marked: true,
    capabilities: CAPABILITIES,
    createdAt: 0,
    ...set,
  }
}

export function node(name: string, set: Partial<Node> = {}): Node {
  return {
    id: `node-${name}`,
    name,
    labels: {},
    attachmentLimit: 64,
    bandwidthUnit: 'MiB/s',
    reach: [],
    state: 'up',
    cordoned: false,
    bootId: `boot-${name}`,
    machineId: `machine-${name}`,
    session: `session-${name}`,
    watchdog: false,
    createdAt: 0,
    ...set,
  }
}

export function volume(name: string, poolId: string, set: Partial<Volume> = {}): Volume {
  return {
    id: `vol-${name}`,
    name,
    poolId,
    role: 'default',
    sizeMiB: 1,
    iops: 0,
    fs: 'ext4',
    access: 'single-writer',
    state: 'available',
    format: { state: 'blank' },
    epoch: 0,
    object: `object-${name}`,
    imported: false,
    protected: false,
    labels: {},
    bandwidth: 0,
    createdAt: 0,
    createdBy: 'test',
    ...set,
  }
}

export function attachment(volumeId: string, nodeId: string, set: Partial<Attachment> = {}): Attachment {
  return {
    id: `att-${volumeId}-${nodeId}`,
    volumeId,
    nodeId,
    epoch: 1,
    mode: 'rw',
    users: [],
    claims: 1,
    state: 'mounted',
    bootId: nodeId.replace('node-', 'boot-'),
    bandwidth: 0,
    since: 0,
    ...set,
  }
}

export function operation(name: string, poolId: string, set: Partial<Operation> = {}): Operation {
  return {
    id: `op-${name}`,
    kind: 'provision',
    step: 'create',
    state: 'pending',
    subject: { kind: 'volume', id: 'vol-v' },
    poolId,
    attempt: 0,
    failures: 0,
    notBefore: 0,
    overdue: false,
    unknownOutcome: false,
    recreate: false,
    cancelRequested: false,
    detail: {},
    createdAt: 0,
    ...set,
  }
}

export function wish(name: string, set: Partial<Wish> = {}): Wish {
  return {
    name,
    pool: undefined,
    poolLabels: {},
    role: 'default',
    sizeMiB: 1,
    iops: 0,
    fs: 'ext4',
    access: 'single-writer',
    source: undefined,
    holdId: undefined,
    protected: false,
    labels: {},
    bandwidth: 0,
    fingerprint: undefined,
    ...set,
  }
}

export type Kept = { [K in RecordKind]: readonly [K, RecordTypes[K]] }[RecordKind]

export function stateOf(...records: readonly Kept[]): LedgerState {
  const state = new LedgerState('0f0e0d0c-0b0a-4908-8706-050403020100')
  for (const [kind, record] of records) state.apply({ kind, id: record.id, record } as Change)
  return state
}
