/**
 * Looks after the disks that are attached, beside whatever else is done: gives up those that do not answer any more,
 * brings targets back that a restart of the target daemon has lost, and removes those that this node left behind.
 */
import type { IscsiDisks, LocalDisk } from './iscsi-disks.ts'
import type { IscsiTargets } from './iscsi-targets.ts'

const TEND_MS = 60_000

/** A pool that is looked after. */
export interface Tended {
  readonly pool: { readonly uuid: string; readonly name: string }
  readonly settings: { readonly patienceMs: number | undefined }
  readonly targets: IscsiTargets
  /** This node's. */
  readonly access: string
}

export interface TenderParts {
  readonly disks: IscsiDisks
  /** In line with whatever else is done to an object. */
  readonly locked: (poolUuid: string, object: string, work: () => Promise<void>) => Promise<void>
  readonly log: (event: string, data: Record<string, unknown>) => void
}

export class IscsiTender {
  private readonly parts: TenderParts
  private readonly running = new Map<string, Promise<void>>()
  private readonly closing = new AbortController()

  constructor(parts: TenderParts) {
    this.parts = parts
  }

  /** Begins to look after a pool, unless that is still being done. */
  tend(at: Tended): void {
    const { uuid } = at.pool
    if (this.running.has(uuid) || this.closing.signal.aborted) return
    const work = this.tendOnce(at, AbortSignal.any([this.closing.signal, AbortSignal.timeout(TEND_MS)]))
      .catch(() => undefined) // what is wrong with the pool is told by whoever looks at it
      .finally(() => this.running.delete(uuid))
    this.running.set(uuid, work)
  }

  async close(): Promise<void> {
    this.closing.abort()
    await Promise.all(this.running.values())
  }

  private async tendOnce(at: Tended, signal: AbortSignal): Promise<void> {
    const { disks, locked } = this.parts
    const present = await disks.present(at.pool.uuid)
    for (const disk of present) {
      if (disks.isStuck(disk, at.settings.patienceMs)) await this.giveUp(at, disk, 'it does not answer')
    }
    const targets = await at.targets.list(signal)
    for (const { object, daemons } of present) {
      const lost = daemons.some(({ target }) => !targets.some(({ name }) => name === target))
      if (lost) await locked(at.pool.uuid, object, () => this.restore(at, object, signal))
    }
    for (const object of at.targets.ofNode(targets, at.access)) {
      if (present.some((disk) => disk.object === object)) continue
      await locked(at.pool.uuid, object, async () => {
        const [disk] = await disks.present(at.pool.uuid, object)
        if (disk === undefined) await at.targets.letOut({ object, access: at.access }, signal)
      })
    }
  }

  private async restore(at: Tended, object: string, signal: AbortSignal): Promise<void> {
    const [disk] = await this.parts.disks.present(at.pool.uuid, object)
    const [daemon] = disk?.daemons ?? []
    if (disk === undefined || daemon === undefined) return
    const there = (await at.targets.list(signal, object)).some(({ name }) => name === daemon.target)
    if (there) return
    const access = { object, access: at.access }
    const restored = await at.targets.reopen(access, daemon.target, signal)
    if (!restored) return await this.giveUp(at, disk, 'the access of this node was taken away')
    this.parts.log('iscsi.target-restored', { pool: at.pool.name, object, target: daemon.target })
  }

  private async giveUp(at: Tended, disk: LocalDisk, why: string): Promise<void> {
    if (disk.daemons.length === 0) return
    this.parts.log('iscsi.disk-given-up', { pool: at.pool.name, object: disk.object, why })
    await this.parts.disks.giveUp(disk)
  }
}
