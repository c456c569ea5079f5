import { randomUUID } from 'node:crypto'
import type { Node } from '../src/model/node.ts'
import type { Pool } from '../src/model/pool.ts'
import type { Change } from '../src/model/records.ts'
import { digest } from '../src/runtime/secrets.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { BATCH_RECORDS } from '../src/store/store.ts'

export const POOL_ID = `pool-${'0'.repeat(21)}`
export const secretOf = (index: number) => `hft_bench_${index}`
const nodeId = (index: number) => `node-${String(index).padStart(21, '0')}`

/** One pool that is shown to Mesos, so many nodes that reach it, each with a credential, and the guard verified. */
export async function fillMesos(directory: string, nodes: number): Promise<void> {
  const store = await openSqliteStore({ directory })
  const { term, revision: first } = await store.campaign()
  const changes = [...world(nodes)].map(({ kind, id, record }) => ({ kind, id, json: JSON.stringify(record) }))
  for (let from = 0, revision = first; from < changes.length; from += BATCH_RECORDS, revision += 1) {
    await store.commit({
      term,
      previousRevision: revision,
      revision: revision + 1,
      at: Date.now(),
      changes: changes.slice(from, from + BATCH_RECORDS),
      events: [{ revision: revision + 1, json: '{}' }],
    })
  }
  await store.close()
}

function* world(nodes: number): Generator<Change> {
  yield { kind: 'pool', id: POOL_ID, record: pool() }
  yield { kind: 'guard', id: 'mesos', record: { id: 'mesos', state: 'verified', why: [], at: 0 } }
  const profile = { id: 'fast', fs: 'ext4', access: 'single-writer', iops: 0, iopsPerGiB: 0, createdAt: 0 } as const
  yield { kind: 'profile', id: 'fast', record: profile }
  for (let index = 0; index < nodes; index += 1) {
    yield { kind: 'node', id: nodeId(index), record: node(index) }
    const id = `tok-${String(index).padStart(21, '0')}`
    const hash = digest(secretOf(index))
    const token = { id, hash, tokenRole: 'node', nodeId: nodeId(index), note: '', createdAt: 0 } as const
    yield { kind: 'token', id, record: token }
  }
}

function pool(): Pool {
  return {
    id: POOL_ID,
    name: 'loop~row8~pool-hdd',
    type: 'loop',
    instance: 'row8',
    pool: 'pool-hdd',
    uuid: randomUUID(),
    driver: 'loop',
    settings: { directory: '/srv/pool' },
    capacityMiB: 1_000_000_000,
    iops: 0,
    overcommitThousandths: 1000,
    reserveMiB: 0,
    fence: 'manual',
    labels: {},
    mesos: {
      roles: ['ads', 'web'],
      reservation: 'dynamic',
      unreserved: false,
      spread: 0,
      float: true,
      block: false,
      bandwidth: false,
    },
    state: 'active',
    marked: true,
    createdAt: 0,
  }
}

function node(index: number): Node {
  return {
    id: nodeId(index),
    name: `node-${index}`,
    labels: {},
    attachmentLimit: 64,
    bandwidthUnit: 'MiB/s',
    reach: [POOL_ID],
    state: 'joined',
    cordoned: false,
    watchdog: false,
    createdAt: 0,
  }
}
