import type { Attachment } from '../model/attachment.ts'
import type { Node } from '../model/node.ts'
import { isFinished, type Operation } from '../model/operation.ts'
import type { Change, RecordKind, RecordTypes } from '../model/records.ts'
import type { Snapshot, Volume } from '../model/volume.ts'
import { footprint } from './accounts.ts'

type Records = { [K in RecordKind]: Map<string, RecordTypes[K]> }

/** Id → set of ids; an empty set is dropped. */
class Index {
  readonly #sets = new Map<string, Set<string>>()

  get(key: string): ReadonlySet<string> {
    return this.#sets.get(key) ?? EMPTY
  }

  add(key: string, id: string): void {
    const set = this.#sets.get(key)
    if (set === undefined) this.#sets.set(key, new Set([id]))
    else set.add(id)
  }

  delete(key: string, id: string): void {
    const set = this.#sets.get(key)
    if (set?.delete(id) && set.size === 0) this.#sets.delete(key)
  }
}

const EMPTY: ReadonlySet<string> = new Set()

/**
 * Everything that the ledger knows, in memory: the records, indexes over them, and for every account the sum of what
 * is taken. `apply` is the only way in; the sums and indexes follow from the records alone.
 */
export class LedgerState {
  readonly installation: string
  /** Number of the last accepted command. */
  revision = 0
  /** Time of the last accepted command; time never goes back. */
  at = 0

  readonly #records: Records = {
    pool: new Map(),
    node: new Map(),
    role: new Map(),
    hold: new Map(),
    volume: new Map(),
    snapshot: new Map(),
    group: new Map(),
    attachment: new Map(),
    operation: new Map(),
    token: new Map(),
    key: new Map(),
    deficit: new Map(),
    clock: new Map(),
    profile: new Map(),
    provider: new Map(),
    guard: new Map(),
  }
  readonly #sums = new Map<string, number>()

  /** By name: what is in the trash, or is deleted from there, has given its name up. */
  readonly volumeByName = new Map<string, string>()
  readonly poolByName = new Map<string, string>()
  readonly nodeByName = new Map<string, string>()
  readonly snapshotByName = new Map<string, string>()
  readonly tokenByHash = new Map<string, string>()
  /** `<pool id>/<object>` → volume or snapshot id. */
  readonly ownerOfObject = new Map<string, string>()
  readonly attachmentsByVolume = new Index()
  readonly attachmentsByNode = new Index()
  readonly nodesByPool = new Index()
  readonly volumesByPool = new Index()
  readonly snapshotsByVolume = new Index()
  readonly snapshotsByPool = new Index()
  readonly holdsByPool = new Index()
  /** Unfinished operations, by what they are about or copy from. */
  readonly operationsBySubject = new Index()
  /** Unfinished operations by the node they run on. */
  readonly operationsByNode = new Index()
  readonly openOperations = new Set<string>()
  /** Things that end at a time of their own: holds, volumes in the trash, tokens. */
  readonly expiring = new Set<string>()

  constructor(installation: string) {
    this.installation = installation
  }

  get<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    return this.#records[kind].get(id) as RecordTypes[K] | undefined
  }

  all<K extends RecordKind>(kind: K): ReadonlyMap<string, RecordTypes[K]> {
    return this.#records[kind] as unknown as ReadonlyMap<string, RecordTypes[K]>
  }

  /** What is taken of an account. */
  sum(account: string): number {
    return this.#sums.get(account) ?? 0
  }

  sums(): ReadonlyMap<string, number> {
    return this.#sums
  }

  /**
   * Makes a change; returns the one that would undo it.
   * @param sumsBefore is told of every account that the change touches, with its sum before, unless it has one already
   */
  apply(change: Change, sumsBefore?: Map<string, number>): Change {
    const records = this.#records[change.kind] as Map<string, unknown>
    const before = records.get(change.id)
    this.#account(change.kind, before, -1, sumsBefore)
    this.#unindex(change.kind, before)
    if (change.record === undefined) records.delete(change.id)
    else records.set(change.id, change.record)
    this.#account(change.kind, change.record, 1, sumsBefore)
    this.#index(change.kind, change.record)
    return { kind: change.kind, id: change.id, record: before } as Change
  }

  #account(kind: RecordKind, record: unknown, sign: 1 | -1, sumsBefore: Map<string, number> | undefined): void {
    if (record === undefined) return
    for (const [account, amount] of footprint(kind, record)) {
      const before = this.#sums.get(account) ?? 0
      if (sumsBefore !== undefined && !sumsBefore.has(account)) sumsBefore.set(account, before)
      const sum = before + sign * amount
      if (sum === 0) this.#sums.delete(account)
      else this.#sums.set(account, sum)
    }
  }

  #index(kind: RecordKind, record: unknown): void {
    if (record === undefined) return
    if (kind === 'volume') this.#indexVolume(record as Volume)
    else if (kind === 'attachment') this.#indexAttachment(record as Attachment)
    else if (kind === 'operation') this.#indexOperation(record as Operation)
    else if (kind === 'node') this.#indexNode(record as Node)
    else if (kind === 'snapshot') this.#indexSnapshot(record as Snapshot)
    else if (kind === 'pool')
      this.poolByName.set((record as RecordTypes['pool']).name, (record as RecordTypes['pool']).id)
    else if (kind === 'hold') {
      const hold = record as RecordTypes['hold']
      this.holdsByPool.add(hold.poolId, hold.id)
      if (hold.expiresAt !== undefined) this.expiring.add(hold.id)
    } else if (kind === 'token') {
      const token = record as RecordTypes['token']
      this.tokenByHash.set(token.hash, token.id)
      if (token.expiresAt !== undefined) this.expiring.add(token.id)
    }
  }

  #unindex(kind: RecordKind, record: unknown): void {
    if (record === undefined) return
    if (kind === 'volume') this.#unindexVolume(record as Volume)
    else if (kind === 'attachment') this.#unindexAttachment(record as Attachment)
    else if (kind === 'operation') this.#unindexOperation(record as Operation)
    else if (kind === 'node') this.#unindexNode(record as Node)
    else if (kind === 'snapshot') this.#unindexSnapshot(record as Snapshot)
    else if (kind === 'pool') this.poolByName.delete((record as RecordTypes['pool']).name)
    else if (kind === 'hold') {
      const hold = record as RecordTypes['hold']
      this.holdsByPool.delete(hold.poolId, hold.id)
      this.expiring.delete(hold.id)
    } else if (kind === 'token') {
      const token = record as RecordTypes['token']
      this.tokenByHash.delete(token.hash)
      this.expiring.delete(token.id)
    }
  }

  #indexVolume(volume: Volume): void {
    if (volume.purgeAt === undefined) this.volumeByName.set(volume.name, volume.id)
    if (volume.state === 'trash') this.expiring.add(volume.id)
    this.volumesByPool.add(volume.poolId, volume.id)
    this.ownerOfObject.set(`${volume.poolId}/${volume.object}`, volume.id)
  }

  #unindexVolume(volume: Volume): void {
    if (this.volumeByName.get(volume.name) === volume.id) this.volumeByName.delete(volume.name)
    this.expiring.delete(volume.id)
    this.volumesByPool.delete(volume.poolId, volume.id)
    this.ownerOfObject.delete(`${volume.poolId}/${volume.object}`)
  }

  #indexSnapshot(snapshot: Snapshot): void {
    this.snapshotByName.set(snapshot.name, snapshot.id)
    this.snapshotsByVolume.add(snapshot.volumeId, snapshot.id)
    this.snapshotsByPool.add(snapshot.poolId, snapshot.id)
    this.ownerOfObject.set(`${snapshot.poolId}/${snapshot.object}`, snapshot.id)
  }

  #unindexSnapshot(snapshot: Snapshot): void {
    this.snapshotByName.delete(snapshot.name)
    this.snapshotsByVolume.delete(snapshot.volumeId, snapshot.id)
    this.snapshotsByPool.delete(snapshot.poolId, snapshot.id)
    this.ownerOfObject.delete(`${snapshot.poolId}/${snapshot.object}`)
  }

  #indexAttachment(attachment: Attachment): void {
    this.attachmentsByVolume.add(attachment.volumeId, attachment.id)
    this.attachmentsByNode.add(attachment.nodeId, attachment.id)
  }

  #unindexAttachment(attachment: Attachment): void {
    this.attachmentsByVolume.delete(attachment.volumeId, attachment.id)
    this.attachmentsByNode.delete(attachment.nodeId, attachment.id)
  }

  #indexOperation(operation: Operation): void {
    if (isFinished(operation)) return
    this.openOperations.add(operation.id)
    this.operationsBySubject.add(operation.subject.id, operation.id)
    if (operation.source !== undefined) this.operationsBySubject.add(operation.source.id, operation.id)
    if (operation.nodeId !== undefined && operation.state === 'running') {
      this.operationsByNode.add(operation.nodeId, operation.id)
    }
  }

  #unindexOperation(operation: Operation): void {
    this.openOperations.delete(operation.id)
    this.operationsBySubject.delete(operation.subject.id, operation.id)
    if (operation.source !== undefined) this.operationsBySubject.delete(operation.source.id, operation.id)
    if (operation.nodeId !== undefined) this.operationsByNode.delete(operation.nodeId, operation.id)
  }

  #indexNode(node: Node): void {
    this.nodeByName.set(node.name, node.id)
    for (const poolId of node.reach) this.nodesByPool.add(poolId, node.id)
  }

  #unindexNode(node: Node): void {
    this.nodeByName.delete(node.name)
    for (const poolId of node.reach) this.nodesByPool.delete(poolId, node.id)
  }
}
