import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LedgerState } from '../src/ledger/state.ts'
import type { Node } from '../src/model/node.ts'
import type { Pool } from '../src/model/pool.ts'
import type { Change } from '../src/model/records.ts'
import type { Volume } from '../src/model/volume.ts'
import { placeVolumes, rankPools, type Wish } from '../src/placement/pools.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { BATCH_RECORDS } from '../src/store/store.ts'
import { type Line, percentile } from './figures.ts'

const POOLS = 1000
const NODES = 10_000
const VOLUMES = 100_000
/** Each node reaches ten pools. */
const REACH = 10

/** Start-up and memory, and placement, with a hundred thousand volumes, a thousand pools and ten thousand nodes. */
export async function benchScale(): Promise<Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'hfb-'))
  try {
    const installation = await fill(join(directory, 'state'))
    return [...(await start(join(directory, 'state'))), ...place(installation)]
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function* world(): Generator<Change> {
  for (let index = 0; index < POOLS; index += 1) yield { kind: 'pool', id: poolId(index), record: pool(index) }
  for (let index = 0; index < NODES; index += 1) yield { kind: 'node', id: nodeId(index), record: node(index) }
  for (let index = 0; index < VOLUMES; index += 1) yield { kind: 'volume', id: volumeId(index), record: volume(index) }
}

const poolId = (index: number) => `pool-${String(index).padStart(21, '0')}`
const nodeId = (index: number) => `node-${String(index).padStart(21, '0')}`
const volumeId = (index: number) => `vol-${String(index).padStart(21, '0')}`

function pool(index: number): Pool {
  return {
    id: poolId(index),
    name: `loop~row${index % 40}~pool-${index}`,
    type: 'loop',
    instance: `row${index % 40}`,
    pool: `pool-${index}`,
    uuid: randomUUID(),
    driver: 'loop',
    settings: { directory: '/srv/pool' },
    capacityMiB: 1_000_000 + index,
    iops: 100_000 + index,
    overcommitThousandths: 1000,
    reserveMiB: 0,
    fence: 'manual',
    labels: { row: String(index % 40) },
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
    reach: Array.from({ length: REACH }, (_, each) => poolId((index * REACH + each) % POOLS)),
    state: 'up',
    cordoned: false,
    watchdog: false,
    session: `session-${index}`,
    bootId: 'boot',
    createdAt: 0,
  }
}

function volume(index: number): Volume {
  return {
    id: volumeId(index),
    name: `volume-${index}`,
    poolId: poolId(index % POOLS),
    role: `team-${index % 50}`,
    sizeMiB: 1000 + (index % 777),
    iops: index % 300,
    fs: 'ext4',
    access: 'single-writer',
    state: 'available',
    format: { state: 'formatted', uuid: randomUUID() },
    epoch: 3,
    object: `hf-00000000-${volumeId(index)}`,
    imported: false,
    protected: false,
    labels: {},
    bandwidth: 0,
    realSizeMiB: 1000 + (index % 777),
    createdAt: 0,
    createdBy: 'bench',
  }
}

/** Writes the world through the store's own interface. */
async function fill(directory: string): Promise<string> {
  const store = await openSqliteStore({ directory })
  const head = await store.campaign()
  let revision = head.revision
  let changes: { kind: string; id: string; json: string }[] = []
  const flush = async () => {
    if (changes.length === 0) return
    const event = { revision: revision + 1, json: '{}' }
    const at = Date.now()
    await store.commit({
      term: head.term,
      previousRevision: revision,
      revision: revision + 1,
      at,
      changes,
      events: [event],
    })
    revision += 1
    changes = []
  }
  for (const { kind, id, record } of world()) {
    changes.push({ kind, id, json: JSON.stringify(record) })
    if (changes.length === BATCH_RECORDS) await flush()
  }
  await flush()
  await store.close()
  return head.installation
}

/** A controller in a process of its own, from its start to its first answer. */
async function start(state: string): Promise<Line[]> {
  const begun = performance.now()
  const child = fork(new URL('./start-controller.ts', import.meta.url), [state], { stdio: 'inherit' })
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve())
      child.once('exit', (code) => reject(new Error(`the controller ended with ${code}`)))
    })
    const seconds = (performance.now() - begun) / 1000
    const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024
    const note = 'with 100,000 volumes, 1,000 pools and 10,000 nodes'
    return [
      {
        name: 'start-up to ready',
        ours: seconds,
        reference: undefined,
        unit: 's',
        against: '',
        note: `${note}; guide 5 s`,
      },
      {
        name: 'memory when ready',
        ours: resident,
        reference: undefined,
        unit: 'MiB',
        against: '',
        note: 'guide 1024 MiB',
      },
    ]
  } finally {
    child.removeAllListeners('exit')
    child.kill('SIGKILL')
  }
}

function place(installation: string): Line[] {
  const state = new LedgerState(installation)
  for (const change of world()) state.apply(change)
  const placed: number[] = []
  const explained: number[] = []
  for (let index = 0; index < 500; index += 1) {
    const wish: Wish = {
      name: `new-${index}`,
      pool: undefined,
      poolLabels: {},
      role: 'team-1',
      sizeMiB: 800_000 + index * 100,
      iops: 5000,
      fs: 'ext4',
      access: 'single-writer',
      source: undefined,
      holdId: undefined,
      protected: false,
      labels: {},
      bandwidth: 0,
      fingerprint: undefined,
    }
    placed.push(time(() => placeVolumes(state, [wish])))
    explained.push(time(() => rankPools(state, { ...wish, sizeMiB: 2_000_000 })))
  }
  const note = 'guide 20 ms'
  return [
    { name: 'place, p99', ours: percentile(placed, 99), reference: undefined, unit: 'ms', against: '', note },
    { name: 'explain, p99', ours: percentile(explained, 99), reference: undefined, unit: 'ms', against: '', note },
  ]
}

function time(work: () => unknown): number {
  const begun = performance.now()
  work()
  return performance.now() - begun
}
