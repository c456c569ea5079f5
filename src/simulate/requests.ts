import type { Command } from '../ledger/commands.ts'
import type { VolumeRequest } from '../ledger/volume-create.ts'
import type { Hold } from '../model/hold.ts'
import type { Group, Snapshot, Volume } from '../model/volume.ts'
import type { ApiClient, Ended } from './api-client.ts'
import type { DurableLedger } from './durable-ledger.ts'
import type { Promises } from './promises.ts'
import type { World } from './world.ts'

const ROLES = ['default', 'ads', 'ads/web', 'db']

export interface RequestsParts {
  readonly world: World
  readonly ledger: DurableLedger
  readonly api: ApiClient
  readonly promises: Promises
  /** Objects that others have left on the storage. */
  readonly foreign: { poolId: string; name: string }[]
}

/** Requests to the REST interface, with parameters by chance; what is answered is remembered. */
export class Requests {
  readonly #parts: RequestsParts
  #names = 0

  constructor(parts: RequestsParts) {
    this.#parts = parts
  }

  name(kind: string): string {
    this.#names += 1
    return `${kind}-${this.#names}`
  }

  async submit(what: string, command: Command): Promise<Ended> {
    const ended = await this.#parts.api.submit(command)
    this.#parts.world.trace('client', `${what}: ${ended.ok ? 'ok' : ended.error.code}`)
    return ended
  }

  #request(): VolumeRequest {
    const { world, ledger } = this.#parts
    const { random } = world
    const role = random.pick(ROLES) as string
    const pools = ledger.all('pool')
    const hold = random.chance(0.3) ? random.pick(ledger.all('hold')) : undefined
    return {
      name: this.name('v'),
      poolId: hold?.poolId ?? (random.pick(pools)?.id as string),
      role: hold?.role ?? role,
      sizeMiB: random.int(1, 300),
      iops: random.chance(0.5) ? random.int(0, 100) : 0,
      fs: random.weighted({ ext4: 4, xfs: 3, btrfs: 1, raw: 2 }),
      access: random.weighted({ 'single-writer': 6, 'many-readers': 2, 'read-only': 1 }),
      source: undefined,
      holdId: hold?.id,
      protected: random.chance(0.05),
      labels: {},
      bandwidth: random.chance(0.3) ? random.int(1, 40) : 0,
      fingerprint: undefined,
    }
  }

  async create(from: Partial<VolumeRequest> | undefined): Promise<void> {
    const { promises } = this.#parts
    const volume = { ...this.#request(), ...from }
    const ended = await this.submit(`create ${volume.name}`, { kind: 'volume.create', volume })
    if (ended.ok) promises.made('volume', (ended.answer as Volume).id, volume.name)
    else if (ended.final) promises.refused('volume', volume.name)
  }

  async clone(): Promise<void> {
    const { world, ledger } = this.#parts
    const kind = world.random.chance(0.5) ? 'volume' : 'snapshot'
    const origin: Volume | Snapshot | undefined = world.random.pick(ledger.all(kind))
    if (origin === undefined) return
    const { poolId, role, fs, sizeMiB } = origin
    const grown = world.random.chance(0.3) ? sizeMiB + world.random.int(1, 50) : sizeMiB
    await this.create({ poolId, role, fs, sizeMiB: grown, holdId: undefined, source: { kind, id: origin.id } })
  }

  async group(): Promise<void> {
    const { world, promises } = this.#parts
    const volumes = Array.from({ length: world.random.int(1, 4) }, () => this.#request())
    const onFailure = world.random.chance(0.5) ? 'keep' : 'rollback'
    const command = { kind: 'group.create', name: undefined, onFailure, volumes } as const
    const ended = await this.submit(`group of ${volumes.map(({ name }) => name).join(' ')}`, command)
    if (!ended.ok) {
      if (ended.final) for (const { name } of volumes) promises.refused('volume', name)
      return
    }
    const made = ended.answer as { group: Group; volumes: Volume[] }
    for (const volume of made.volumes) {
      promises.made('volume', volume.id, volume.name)
    }
  }

  async toVolume(action: 'delete' | 'undelete' | 'resize' | 'update' | 'snapshot' | 'release'): Promise<void> {
    const { world, ledger, promises } = this.#parts
    const { random } = world
    const all = ledger.all('volume')
    const volume = random.pick(action === 'undelete' ? all.filter(({ state }) => state === 'trash') : all)
    if (volume === undefined) return
    const volumeId = volume.id
    switch (action) {
      case 'delete': {
        promises.mayGo(volumeId)
        const trashMs = random.chance(0.4) ? random.int(1000, 30_000) : 0
        await this.submit(`delete ${volume.name}`, { kind: 'volume.delete', volumeId, trashMs })
        return
      }
      case 'undelete': {
        const name = this.name('u')
        const ended = await this.submit(`undelete ${name}`, { kind: 'volume.undelete', volumeId, name })
        if (!ended.ok && ended.final) promises.refused('volume', name)
        return
      }
      case 'resize': {
        const sizeMiB = volume.sizeMiB + random.int(0, 100)
        const ended = await this.submit(`resize ${volume.name}`, { kind: 'volume.resize', volumeId, sizeMiB })
        if (ended.ok) promises.grown(volumeId, sizeMiB)
        return
      }
      case 'update': {
        const set = random.chance(0.5) ? { protected: false } : { bandwidth: random.int(0, 30) }
        await this.submit(`update ${volume.name}`, { kind: 'volume.update', volumeId, set })
        return
      }
      case 'snapshot': {
        const name = this.name('s')
        const command = { kind: 'snapshot.create', volumeId, name, labels: {} } as const
        const ended = await this.submit(`snapshot ${name} of ${volume.name}`, command)
        if (ended.ok) promises.made('snapshot', (ended.answer as Snapshot).id, name)
        else if (ended.final) promises.refused('snapshot', name)
        return
      }
      case 'release': {
        if (!volume.imported) return
        promises.mayGo(volumeId)
        await this.submit(`release ${volume.name}`, { kind: 'volume.release', volumeId })
      }
    }
  }

  async dropSnapshot(): Promise<void> {
    const { world, ledger, promises } = this.#parts
    const snapshot = world.random.pick(ledger.all('snapshot'))
    if (snapshot === undefined) return
    promises.mayGo(snapshot.id)
    await this.submit(`drop ${snapshot.name}`, { kind: 'snapshot.delete', snapshotId: snapshot.id })
  }

  async toRules(action: 'hold' | 'release-hold' | 'quota' | 'pool' | 'node'): Promise<void> {
    const { world, ledger } = this.#parts
    const { random } = world
    if (action === 'hold') return this.#hold()
    if (action === 'release-hold') {
      const hold = random.pick(ledger.all('hold'))
      if (hold === undefined) return
      this.#parts.promises.mayGo(hold.id)
      await this.submit(`release ${hold.id}`, { kind: 'hold.release', holdId: hold.id, reason: 'asked' })
    } else if (action === 'quota') {
      const role = random.pick(ROLES) as string
      const quota = random.chance(0.3) ? {} : { sizeMiB: random.int(500, 4000), iops: random.int(100, 2000) }
      await this.submit(`quota of ${role}`, { kind: 'role.set', role, quota })
    } else if (action === 'pool') {
      const pool = random.pick(ledger.all('pool'))
      if (pool === undefined) return
      const set = random.chance(0.5) ? { capacityMiB: random.int(1500, 6000) } : { iops: random.int(0, 2) * 1000 }
      await this.submit(`update ${pool.name}`, { kind: 'pool.update', poolId: pool.id, set })
    } else {
      const node = random.pick(ledger.all('node'))
      if (node === undefined) return
      const set = random.weighted({ cordon: 1, open: 2, limit: 1, bandwidth: 1 })
      const sets = {
        cordon: { cordoned: true },
        open: { cordoned: false },
        limit: { attachmentLimit: random.int(2, 20) },
        bandwidth: { bandwidth: random.int(20, 200) },
      }
      await this.submit(`update ${node.name}`, { kind: 'node.update', nodeId: node.id, set: sets[set] })
    }
  }

  async #hold(): Promise<void> {
    const { world, ledger, promises } = this.#parts
    const { random } = world
    const pool = random.pick(ledger.all('pool'))
    if (pool === undefined) return
    const label = this.name('h')
    const expires = random.chance(0.5)
    const ended = await this.submit(`hold ${label}`, {
      kind: 'hold.create',
      poolId: pool.id,
      role: random.pick(ROLES) as string,
      sizeMiB: random.int(1, 500),
      iops: random.int(0, 100),
      expiresAt: expires ? world.wall + random.int(1000, 60_000) : undefined,
      labels: { client: label },
    })
    if (!ended.ok) {
      if (ended.final) promises.refused('hold', label)
      return
    }
    promises.made('hold', (ended.answer as Hold).id, label)
  }

  async import(): Promise<void> {
    const { world, foreign, promises } = this.#parts
    const object = world.random.pick(foreign)
    if (object === undefined) return
    const name = this.name('i')
    const ended = await this.submit(`import ${object.name} as ${name}`, {
      kind: 'volume.import',
      poolId: object.poolId,
      object: object.name,
      name,
      role: 'default',
      sizeMiB: 10,
      access: 'single-writer',
    })
    if (!ended.ok) {
      if (ended.final) promises.refused('volume', name)
      return
    }
    const { id } = ended.answer as Volume
    promises.made('volume', id, name)
  }

  async cancel(): Promise<void> {
    const { world, ledger, promises } = this.#parts
    const open = ledger.all('operation').filter(({ state }) => state === 'pending' || state === 'running')
    const operation = world.random.pick(open)
    if (operation === undefined) return
    promises.mayGo(operation.subject.id)
    const command = { kind: 'operation.cancel', operationId: operation.id } as const
    await this.submit(`cancel ${operation.kind} ${operation.id.slice(-4)}`, command)
  }
}
