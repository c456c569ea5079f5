/**
 * Storage fails at every call of its driver, in every way, in the middle of a volume's life: the life goes on, no data is
 * lost, nothing is counted wrong, nothing is left behind, and the record says what happened.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { asHoldfastError } from '../../src/model/errors.ts'
import { makeCsiBackend } from '../drivers/csi-fixture.ts'
import { makeDockerBackend } from '../drivers/docker-fixture.ts'
import { makeGlusterBackend } from '../drivers/gluster-fixture.ts'
import { ISCSI_PROGRAMS, makeIscsiBackend } from '../drivers/iscsi-fixture.ts'
import { makeRexrayBackend } from '../drivers/rexray-fixture.ts'
import { FAULTS, FAULTY_CALLS, type Fault, type FaultFiles, happenedIn } from '../support/faulty-driver.ts'
import { GLUSTER_NEEDS } from '../support/gluster.ts'
import { needs } from '../support/missing.ts'
import { scaled } from '../support/scale.ts'
import { type TempDir, tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { type Backend, makeLoopBackend } from './support/backend.ts'
import { type Cluster, launchCluster } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

/** The kinds of storage, and the faults that are tried without being asked for more: each life takes half a minute. */
const KINDS: [name: string, needed: string[], make: () => Promise<Backend>, faults: readonly Fault[]][] = [
  ['loop', ['mkfs.ext4'], makeLoopBackend, ['error', 'error-after', 'hang', 'garbage', 'kill-after']],
  ['docker', [], makeDockerBackend, ['error-after']],
  ['csi-on-loop', ['mkfs.ext4', 'mkfs.xfs'], makeCsiBackend, ['kill-after']],
  ['iscsi', ['mkfs.ext4', 'mkfs.xfs', ...ISCSI_PROGRAMS], makeIscsiBackend, []],
  ['rexray', ['mkfs.ext4'], makeRexrayBackend, []],
  ['gluster', ['mkfs.ext4', ...GLUSTER_NEEDS], makeGlusterBackend, []],
]
const USER = { door: 'test', id: 'one' }
const LIFE_MS = 40_000
/** How long an operator looks at a call that hangs before restarting the daemon. */
const PATIENCE_MS = 1500

interface Capabilities {
  snapshot: string
  grow: string
  formats: string
  unitMiB?: number
}

class Life {
  readonly #cluster: Cluster
  readonly #node: NodeProcess
  readonly #files: FaultFiles
  readonly #fault: Fault
  #ended = false
  #minding: Promise<void> | undefined

  constructor(cluster: Cluster, files: FaultFiles, fault: Fault) {
    this.#cluster = cluster
    this.#node = cluster.nodes[0] as NodeProcess
    this.#files = files
    this.#fault = fault
  }

  async live(pool: string): Promise<void> {
    this.#arm()
    this.#minding = this.#mind()
    try {
      await this.#pass(pool)
    } finally {
      this.#ended = true
      await this.#minding
    }
  }

  async #pass(pool: string): Promise<void> {
    const cluster = this.#cluster
    const node = this.#node
    await cluster.poolReached(pool, 1, LIFE_MS)
    const { capabilities } = await cluster.get<{ capabilities: Capabilities }>(`/v1/pools/${encodeURIComponent(pool)}`)
    const unit = Math.max(64, capabilities.unitMiB ?? 1)
    const fs = capabilities.formats === 'backend' ? 'directory' : 'ext4'
    await this.#made(() => cluster.addVolume('life', { pool, sizeMiB: unit, fs }))
    putData(await this.#again(() => node.mount('life', USER)))
    await this.#again(() => node.unmount('life', USER))
    await cluster.volumeFree('life', LIFE_MS)
    if (capabilities.snapshot !== 'none') {
      const wanted = { volume: 'life', name: 'then' }
      await this.#slow(
        'the snapshot',
        () => cluster.post('/v1/snapshots?wait=60', wanted),
        () => this.#snapshotIs('available'),
      )
    }
    if (capabilities.grow !== 'none') {
      await this.#slow(
        'growth',
        () => cluster.post('/v1/volumes/life/resize?wait=60', { sizeMiB: 2 * unit }),
        async () => {
          await cluster.operationsDone(LIFE_MS)
          expect((await cluster.volume('life')).sizeMiB).toBe(2 * unit)
        },
      )
    }
    expect(hasData(await this.#again(() => node.mount('life', USER)))).toBe(true)
    await this.#again(() => node.unmount('life', USER))
    for (const path of ['/v1/volumes/life', '/v1/snapshots/then']) {
      await this.#again(() =>
        cluster.rest('DELETE', path).catch((thrown) => expect(asHoldfastError(thrown).code).toBe('not_found')),
      )
    }
    await cluster.operationsDone(LIFE_MS)
  }

  /** One that is refused for good, because it does not look as it must, is thrown away and asked for again. */
  async #made(ask: () => Promise<unknown>): Promise<void> {
    const end = performance.now() + LIFE_MS
    await ask().catch(() => undefined)
    for (;;) {
      const { state, fault } = await this.#cluster.volume('life')
      if (state === 'available') return
      if (performance.now() > end) throw new Error(`the volume is ${state}: ${fault?.message}`)
      if (state !== 'error') await delay(50)
      else {
        await this.#cluster.rest('DELETE', '/v1/volumes/life?wait=60').catch(() => undefined)
        await this.#again(ask)
      }
    }
  }

  /** Slow work: what fails for good is asked for again, as a person would. */
  async #slow(what: string, ask: () => Promise<unknown>, done: () => Promise<unknown>): Promise<void> {
    await ask().catch(() => undefined)
    await done().catch((thrown) => {
      throw new Error(`${what}: ${thrown.message}`)
    })
  }

  async #snapshotIs(state: string): Promise<void> {
    await until(async () => (await this.#cluster.get<{ state: string }>('/v1/snapshots/then')).state === state, {
      what: `the snapshot to be ${state}`,
      deadlineMs: LIFE_MS,
    })
  }

  async #again<T>(work: () => Promise<T>): Promise<T> {
    const end = performance.now() + LIFE_MS
    for (;;) {
      try {
        return await work()
      } catch (thrown) {
        if (performance.now() > end) throw thrown
        await delay(100)
      }
    }
  }

  #arm(): void {
    writeFileSync(this.#files.plan, JSON.stringify({ fault: this.#fault, calls: FAULTY_CALLS }))
  }

  /** Whoever looks after the machine: starts a daemon that died, and restarts one that hangs. */
  async #mind(): Promise<void> {
    let seen = happenedIn(this.#files).length
    while (!this.#ended) {
      await delay(50)
      const now = happenedIn(this.#files).length
      if (this.#fault.startsWith('hang') && now > seen) {
        seen = now
        await delay(PATIENCE_MS)
        if (this.#ended) return
        await this.#node.kill()
      }
      // it may die again before it is up
      if (!this.#node.alive) await this.#cluster.startNode(this.#node).catch(() => undefined)
    }
  }
}

async function liveWith(kind: string, make: () => Promise<Backend>, fault: Fault): Promise<void> {
  const pool = `${kind}~test~pool`
  const files: TempDir = tempDir()
  const faults = { plan: join(files.path, 'plan'), happened: join(files.path, 'happened') }
  let backend: Backend | undefined
  let cluster: Cluster | undefined
  try {
    backend = await make()
    cluster = await launchCluster({ node: { ...backend.nodeOptions, faults } })
    await cluster.addPool({ name: pool, backend, capacityMiB: 1_000_000 })
    await new Life(cluster, faults, fault).live(pool)
    const suffered = happenedIn(faults)
    expect(suffered).toEqual(expect.arrayContaining(['create', 'attach', 'detach', 'delete']))
    expect(await cluster.get(`/v1/pools/${encodeURIComponent(pool)}`)).toMatchObject({ usage: { usedMiB: 0 } })
    expect(await backend.leftovers()).toEqual([])
    expect(cluster.leftovers()).toMatchObject({ devices: 0, scratch: [], partials: [], work: [], owed: [] })
    await said(cluster, fault)
  } finally {
    await cluster?.dispose()
    await backend?.dispose()
    files.remove()
  }
}

/** Of what failed, the history says so; what was late or died was done again. */
async function said(cluster: Cluster, fault: Fault): Promise<void> {
  const items = await cluster.events()
  const retried = items.filter((event) => event.type === 'operation.retrying').map((event) => event.data.message ?? '')
  if (fault === 'slow') return expect(retried).toEqual([])
  if (fault === 'error' || fault === 'error-after') {
    expect(retried.some((message) => /the storage failed at create/.test(message))).toBe(true)
  } else expect(retried.length).toBeGreaterThan(0)
}

// they wait most of the time: for a retry, for somebody to look
describe.concurrent('storage that fails', () => {
  for (const [kind, needed, make, usual] of KINDS) {
    if (scaled(1) === 1 && usual.length === 0) continue
    needs('root', 'loop-devices', ...needed).describe(`a volume on ${kind}`, () => {
      for (const fault of scaled(1) > 1 ? FAULTS : usual) {
        test(
          `lives on with every call of the driver failing once: ${fault}`,
          () => liveWith(kind, make, fault),
          2 * LIFE_MS,
        )
      }
    })
  }
})
