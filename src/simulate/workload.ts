import type { Volume } from '../model/volume.ts'
import { Container, type ContainerParts } from './container.ts'
import type { Machine } from './machine.ts'
import { Requests, type RequestsParts } from './requests.ts'

type Action =
  | 'create'
  | 'clone'
  | 'group'
  | 'delete'
  | 'undelete'
  | 'resize'
  | 'update'
  | 'snapshot'
  | 'drop-snapshot'
  | 'hold'
  | 'release-hold'
  | 'quota'
  | 'pool'
  | 'node'
  | 'import'
  | 'release'
  | 'cancel'
  | 'container'
  | 'claim'

const WEIGHTS: Record<Action, number> = {
  create: 22,
  clone: 5,
  group: 4,
  delete: 9,
  undelete: 3,
  resize: 6,
  update: 2,
  snapshot: 6,
  'drop-snapshot': 4,
  hold: 5,
  'release-hold': 2,
  quota: 2,
  pool: 2,
  node: 2,
  import: 2,
  release: 1,
  cancel: 4,
  container: 40,
  claim: 4,
}

/** After so long no copy of a request is on its way any more. */
const COPIES_MS = 120_000

const CROWDED: Record<Action, number> = { ...WEIGHTS, container: 80, claim: 60 }

export interface WorkloadParts extends RequestsParts {
  readonly machines: readonly Machine[]
  readonly containers: Omit<ContainerParts, 'machine'>
  /** Everybody wants the same few volumes, on the same machines, for short times. */
  readonly crowded: boolean
}

/** Clients of every kind, doing what the seed says. */
export class Workload {
  readonly #parts: WorkloadParts
  readonly containers = new Set<Container>()
  /** Requests that are not answered yet. */
  open = 0
  actions = 0
  readonly #requests: Requests
  #stopped = false

  constructor(parts: WorkloadParts) {
    this.#parts = parts
    this.#requests = new Requests(parts)
  }

  start(clients: number, pauseMs: number): void {
    for (let index = 0; index < clients; index += 1) void this.#live(pauseMs)
  }

  /** Nothing new is asked for. */
  stop(): void {
    this.#stopped = true
  }

  /** Nobody waits for an answer, and no container is about to start or end. */
  get quiet(): boolean {
    return this.open === 0 && [...this.containers].every(({ state }) => state === 'mounted')
  }

  async #live(pauseMs: number): Promise<void> {
    const { world, crowded } = this.#parts
    while (!this.#stopped) {
      await world.sleep(world.random.int(1, pauseMs * 2))
      if (this.#stopped) return
      const action = world.random.weighted(crowded ? CROWDED : WEIGHTS)
      this.actions += 1
      this.open += 1
      await this.#do(action)
      this.open -= 1
    }
  }

  async #do(action: Action): Promise<void> {
    switch (action) {
      case 'create':
        return this.#requests.create(undefined)
      case 'clone':
        return this.#requests.clone()
      case 'group':
        return this.#requests.group()
      case 'delete':
      case 'undelete':
      case 'resize':
      case 'update':
      case 'snapshot':
      case 'release':
        return this.#requests.toVolume(action)
      case 'drop-snapshot':
        return this.#requests.dropSnapshot()
      case 'hold':
      case 'release-hold':
      case 'quota':
      case 'pool':
      case 'node':
        return this.#requests.toRules(action)
      case 'import':
        return this.#requests.import()
      case 'cancel':
        return this.#requests.cancel()
      case 'container':
        return this.#startContainer()
      case 'claim':
        return this.#claim()
    }
  }

  #startContainer(): void {
    const { world, machines, containers, crowded } = this.#parts
    const { random } = world
    const volume = this.#wanted()
    if (volume === undefined) return
    const machine = machines.find(({ nodeId }) => nodeId === this.#nodeFor(volume))
    if (machine === undefined) return
    const readOnly = volume.access === 'read-only' || (volume.access === 'many-readers' && random.chance(0.7))
    const parts = { ...containers, machine }
    const container = new Container(parts, this.#requests.name('c'), volume.id, readOnly ? 'ro' : 'rw')
    this.containers.add(container)
    const life = crowded ? random.int(50, 4000) : random.chance(0.1) ? 1e9 : random.int(500, 25_000)
    void container.run(life).then(() => this.containers.delete(container))
  }

  /** A few volumes are wanted by everybody. */
  #wanted(): Volume | undefined {
    const { world, ledger, crowded } = this.#parts
    const volumes = ledger.all('volume').filter(({ state }) => state === 'available')
    return world.random.chance(crowded ? 0.9 : 0.5) ? volumes[0] : world.random.pick(volumes)
  }

  #nodeFor(volume: Volume): string | undefined {
    const { world, ledger, crowded } = this.#parts
    const { random } = world
    const there = crowded && random.chance(0.8) ? ledger.all('attachment') : []
    const attachment = there.find(({ volumeId }) => volumeId === volume.id)
    return attachment?.nodeId ?? random.pick(ledger.all('node'))?.id
  }

  /** A claim through the REST door: the node hears of it by its assignment. */
  async #claim(): Promise<void> {
    const { world, crowded } = this.#parts
    const { random } = world
    const volume = this.#wanted()
    const nodeId = volume === undefined ? undefined : this.#nodeFor(volume)
    if (volume === undefined || nodeId === undefined) return
    const user = { door: 'rest', id: this.#requests.name('r') }
    const target = { volumeId: volume.id, nodeId, user }
    const mode = volume.access === 'single-writer' ? 'rw' : 'ro'
    const rest = { mode, bandwidth: undefined, mountAt: undefined } as const
    const ended = await this.#requests.submit(`claim ${user.id}`, { kind: 'attachment.claim', ...target, ...rest })
    if (!ended.ok && ended.final) return
    // a refusal may be followed by a copy of the request that is accepted
    await world.sleep(ended.ok ? random.int(200, crowded ? 2000 : 20_000) : COPIES_MS)
    await this.#requests.submit(`unclaim ${user.id}`, { kind: 'attachment.unclaim', ...target })
  }
}
