/** A CSI plugin as its user sees it: what it can do, and the calls of its Controller service. */
import type { MessageInitShape } from '@bufbuild/protobuf'
import { HoldfastError } from '../model/errors.ts'
import { GrpcChannel, type UnaryClient } from './client.ts'
import {
  Controller,
  ControllerServiceCapability_RPC_Type as ControllerType,
  type CreateVolumeRequestSchema,
  PluginCapability_VolumeExpansion_Type as Expansion,
  Identity,
  VolumeCapability_AccessMode_Mode as Mode,
  Node,
  NodeServiceCapability_RPC_Type as NodeType,
  type Volume,
  type VolumeCapabilitySchema,
} from './generated/csi/v1/csi_pb.js'
import type { SnapshotHandle, VolumeHandle } from './object-handle.ts'
import { orAbsent, type PluginTimes, pluginCall } from './plugin-call.ts'
import { PluginSecrets } from './plugin-secrets.ts'
import type { CsiPluginSettings } from './plugin-settings.ts'

const MIB = 1024n * 1024n
/** What a plugin can do changes only when it is replaced. */
const FACTS_MS = 30_000

/** What a plugin says of itself. */
export interface PluginFacts {
  /** Its name for this machine. */
  readonly nodeId: string
  readonly controller: ReadonlySet<string>
  readonly node: ReadonlySet<string>
  readonly expansion: 'online' | 'offline'
}

/** What a new volume is to be a copy of. */
export type ContentSource = { readonly kind: 'volume' | 'snapshot'; readonly id: string }

export interface VolumeRequest {
  readonly name: string
  /** At least so much; and not more, where `exactly`. */
  readonly sizeMiB: number
  readonly exactly: boolean
  readonly source?: ContentSource | undefined
}

export class CsiPlugin {
  readonly settings: CsiPluginSettings
  readonly secrets: PluginSecrets
  readonly node: UnaryClient<typeof Node>
  readonly controller: UnaryClient<typeof Controller>
  readonly #identity: UnaryClient<typeof Identity>
  readonly #channels: GrpcChannel[]
  readonly #times: PluginTimes
  #facts: { at: number; facts: PluginFacts } | undefined
  #hasReaders: boolean | undefined

  constructor(settings: CsiPluginSettings, times: PluginTimes) {
    const { endpoint, controllerEndpoint } = settings
    const own = new GrpcChannel(endpoint)
    const other = controllerEndpoint === endpoint ? own : new GrpcChannel(controllerEndpoint)
    this.settings = settings
    this.secrets = new PluginSecrets(settings.secretsFile)
    this.#times = times
    this.#channels = [own, other]
    this.node = own.client(Node)
    this.controller = other.client(Controller)
    this.#identity = other.client(Identity)
  }

  close(): void {
    for (const channel of this.#channels) channel.close()
  }

  /** A call that makes or moves something. */
  change<T>(what: string, signal: AbortSignal, work: Parameters<typeof pluginCall<T>>[1]): Promise<T> {
    return this.#call(what, signal, this.#times.longMs, work)
  }

  /** A question. */
  ask<T>(what: string, signal: AbortSignal, work: Parameters<typeof pluginCall<T>>[1]): Promise<T> {
    return this.#call(what, signal, this.#times.shortMs, work)
  }

  #call<T>(what: string, signal: AbortSignal, deadlineMs: number, work: Parameters<typeof pluginCall<T>>[1]) {
    const { awayMs } = this.#times
    const call = { what, deadlineMs, awayMs, signal, hide: (text: string) => this.secrets.hide(text) }
    return pluginCall(call, work)
  }

  /** @throws unsupported for a plugin that makes no volumes; storage_failed while it is not ready */
  async facts(signal: AbortSignal): Promise<PluginFacts> {
    const known = this.#facts
    if (known !== undefined && performance.now() - known.at < FACTS_MS) return known.facts
    const facts = await this.#read(signal)
    this.#facts = { at: performance.now(), facts }
    return facts
  }

  /** @throws storage_failed */
  async requireReady(signal: AbortSignal): Promise<void> {
    const { ready } = await this.ask('Probe', signal, (options) => this.#identity.probe({}, options))
    if (ready === false) throw new HoldfastError('storage_failed', 'the CSI plugin says that it is not ready yet')
  }

  async #read(signal: AbortSignal): Promise<PluginFacts> {
    const [plugin, controller, node, info] = await Promise.all([
      this.ask('GetPluginCapabilities', signal, (o) => this.#identity.getPluginCapabilities({}, o)),
      this.ask('ControllerGetCapabilities', signal, (o) => this.controller.controllerGetCapabilities({}, o)),
      this.ask('NodeGetCapabilities', signal, (o) => this.node.nodeGetCapabilities({}, o)),
      this.ask('NodeGetInfo', signal, (o) => this.node.nodeGetInfo({}, o)),
    ])
    const known = new Set(
      controller.capabilities.flatMap(({ type }) => (type.case === 'rpc' ? name(ControllerType, type.value.type) : [])),
    )
    if (!known.has('CREATE_DELETE_VOLUME')) {
      throw new HoldfastError('unsupported', 'the CSI plugin makes no volumes: it has no CREATE_DELETE_VOLUME')
    }
    const offline = plugin.capabilities.some(
      ({ type }) => type.case === 'volumeExpansion' && type.value.type === Expansion.OFFLINE,
    )
    return {
      nodeId: info.nodeId,
      controller: known,
      node: new Set(
        node.capabilities.flatMap(({ type }) => (type.case === 'rpc' ? name(NodeType, type.value.type) : [])),
      ),
      expansion: offline ? 'offline' : 'online',
    }
  }

  /** How a volume is to be had for writing or reading. */
  capability(reading: boolean): MessageInitShape<typeof VolumeCapabilitySchema> {
    const { mode, fsType, mountFlags, sharing } = this.settings
    const reader = sharing === 'readers' ? Mode.MULTI_NODE_READER_ONLY : Mode.SINGLE_NODE_READER_ONLY
    const writer = sharing === 'writers' ? Mode.MULTI_NODE_MULTI_WRITER : Mode.SINGLE_NODE_WRITER
    return {
      accessType:
        mode === 'block'
          ? { case: 'block', value: {} }
          : { case: 'mount', value: { fsType, mountFlags: [...mountFlags] } },
      accessMode: { mode: reading && sharing !== 'writers' ? reader : writer },
    }
  }

  /** Whether a volume can be had for reading only; many plugins know no other mode than that of one writer. */
  async hasReaders({ id: volumeId, context: volumeContext }: VolumeHandle, signal: AbortSignal): Promise<boolean> {
    if (this.settings.sharing === 'readers' || this.#hasReaders !== undefined) return this.#hasReaders ?? true
    const secrets = await this.secrets.for('validate')
    const request = { volumeId, volumeContext, volumeCapabilities: [this.capability(true)], secrets }
    const what = `ValidateVolumeCapabilities ${volumeId}`
    try {
      const answer = await this.ask(what, signal, (o) => this.controller.validateVolumeCapabilities(request, o))
      this.#hasReaders = answer.confirmed !== undefined
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError) || thrown.data.status !== 'INVALID_ARGUMENT') throw thrown
      this.#hasReaders = false
    }
    return this.#hasReaders
  }

  /** Makes a volume, or finds the one that was made by an equal request. */
  async createVolume(asked: VolumeRequest, signal: AbortSignal): Promise<VolumeHandle> {
    const { parameters, topology, sharing } = this.settings
    const bytes = BigInt(asked.sizeMiB) * MIB
    const segments = topology === undefined ? undefined : [{ segments: topology }]
    const request: MessageInitShape<typeof CreateVolumeRequestSchema> = {
      name: asked.name,
      capacityRange: { requiredBytes: bytes, limitBytes: asked.exactly ? bytes : 0n },
      volumeCapabilities: (sharing === 'readers' ? [false, true] : [false]).map((each) => this.capability(each)),
      parameters,
      secrets: await this.secrets.for('createVolume'),
      ...(segments === undefined ? {} : { accessibilityRequirements: { requisite: segments, preferred: segments } }),
      ...(asked.source === undefined ? {} : { volumeContentSource: { type: contentSource(asked.source) } }),
    }
    const what = `CreateVolume ${asked.name}`
    const { volume } = await this.change(what, signal, (options) => this.controller.createVolume(request, options))
    return volumeOf(volume, asked)
  }

  async deleteVolume(volumeId: string, signal: AbortSignal): Promise<void> {
    const secrets = await this.secrets.for('deleteVolume')
    const work = this.change(`DeleteVolume ${volumeId}`, signal, (options) =>
      this.controller.deleteVolume({ volumeId, secrets }, options),
    )
    await orAbsent(work)
  }

  /** Makes a snapshot, or finds the one that was made by an equal request. */
  async createSnapshot(
    name: string,
    source: Pick<VolumeHandle, 'id' | 'sizeMiB'>,
    signal: AbortSignal,
  ): Promise<SnapshotHandle & { ready: boolean }> {
    const secrets = await this.secrets.for('createSnapshot')
    const request = { name, sourceVolumeId: source.id, parameters: this.settings.snapshotParameters, secrets }
    const what = `CreateSnapshot ${name}`
    const { snapshot } = await this.change(what, signal, (o) => this.controller.createSnapshot(request, o))
    const { snapshotId = '', sourceVolumeId, sizeBytes = 0n, readyToUse = false } = snapshot ?? {}
    if (snapshotId === '') throw wrong(what, 'no snapshot_id')
    if (sourceVolumeId !== '' && sourceVolumeId !== source.id) throw wrong(what, `a snapshot of ${sourceVolumeId}`)
    const sizeMiB = sizeBytes === 0n ? source.sizeMiB : floorMiB(sizeBytes)
    return { kind: 'snapshot', id: snapshotId, sizeMiB, source: source.id, ready: readyToUse }
  }

  async deleteSnapshot(snapshotId: string, signal: AbortSignal): Promise<void> {
    const secrets = await this.secrets.for('deleteSnapshot')
    const work = this.change(`DeleteSnapshot ${snapshotId}`, signal, (options) =>
      this.controller.deleteSnapshot({ snapshotId, secrets }, options),
    )
    await orAbsent(work)
  }

  /** Whether a volume is there, and its size if the plugin tells it. */
  async volume(handle: Pick<VolumeHandle, 'id' | 'context'>, signal: AbortSignal) {
    const { controller } = await this.facts(signal)
    const { id: volumeId, context: volumeContext } = handle
    if (controller.has('GET_VOLUME')) {
      const answer = await orAbsent(
        this.ask(`ControllerGetVolume ${volumeId}`, signal, (o) =>
          this.controller.controllerGetVolume({ volumeId }, o),
        ),
      )
      if (answer === undefined) return undefined
      const bytes = answer.volume?.capacityBytes ?? 0n
      return { sizeMiB: bytes === 0n ? undefined : floorMiB(bytes), nodes: answer.status?.publishedNodeIds ?? [] }
    }
    const request = { volumeId, volumeContext, volumeCapabilities: [this.capability(false)] }
    const secrets = await this.secrets.for('validate')
    const answer = await orAbsent(
      this.ask(`ValidateVolumeCapabilities ${volumeId}`, signal, (o) =>
        this.controller.validateVolumeCapabilities({ ...request, secrets }, o),
      ),
    )
    return answer === undefined ? undefined : { sizeMiB: undefined, nodes: [] }
  }

  /** Whether a snapshot is there, and can be copied from. What a plugin cannot tell is taken to be so. */
  async snapshot({ id: snapshotId }: SnapshotHandle, signal: AbortSignal): Promise<{ ready: boolean } | undefined> {
    const { controller } = await this.facts(signal)
    if (controller.has('GET_SNAPSHOT')) {
      const answer = await orAbsent(
        this.ask(`GetSnapshot ${snapshotId}`, signal, (o) => this.controller.getSnapshot({ snapshotId }, o)),
      )
      return answer === undefined ? undefined : { ready: answer.snapshot?.readyToUse ?? false }
    }
    if (!controller.has('LIST_SNAPSHOTS')) return { ready: true }
    const what = `ListSnapshots ${snapshotId}`
    const { entries } = await this.ask(what, signal, (o) => this.controller.listSnapshots({ snapshotId }, o))
    const found = entries.find(({ snapshot }) => snapshot?.snapshotId === snapshotId)?.snapshot
    return found === undefined ? undefined : { ready: found.readyToUse }
  }

  /** @returns the new size, and whether the node must be told */
  async expand(volumeId: string, sizeMiB: number, signal: AbortSignal): Promise<{ sizeMiB: number; onNode: boolean }> {
    const secrets = await this.secrets.for('controllerExpand')
    const bytes = BigInt(sizeMiB) * MIB
    const range = { requiredBytes: bytes, limitBytes: bytes }
    const request = { volumeId, capacityRange: range, volumeCapability: this.capability(false), secrets }
    const what = `ControllerExpandVolume ${volumeId}`
    const answer = await this.change(what, signal, (o) => this.controller.controllerExpandVolume(request, o))
    if (answer.capacityBytes < bytes) throw wrong(what, `${answer.capacityBytes} bytes where ${bytes} were asked`)
    return { sizeMiB: floorMiB(answer.capacityBytes), onNode: answer.nodeExpansionRequired }
  }

  /** MiB that can still be had; undefined where the plugin does not tell. */
  async availableMiB(signal: AbortSignal): Promise<number | undefined> {
    if (!(await this.facts(signal)).controller.has('GET_CAPACITY')) return undefined
    const { parameters, topology } = this.settings
    const place = topology === undefined ? {} : { accessibleTopology: { segments: topology } }
    const request = { volumeCapabilities: [this.capability(false)], parameters, ...place }
    const { availableCapacity } = await this.ask('GetCapacity', signal, (o) => this.controller.getCapacity(request, o))
    return floorMiB(availableCapacity)
  }
}

function volumeOf(volume: Volume | undefined, { name, sizeMiB }: VolumeRequest): VolumeHandle {
  const { volumeId = '', capacityBytes = 0n, volumeContext = {} } = volume ?? {}
  const what = `CreateVolume ${name}`
  if (volumeId === '') throw wrong(what, 'no volume_id')
  // 0: it does not tell (csi.proto, Volume.capacity_bytes)
  const size = capacityBytes === 0n ? sizeMiB : floorMiB(capacityBytes)
  if (size < sizeMiB) throw wrong(what, `a volume of ${size} MiB where ${sizeMiB} MiB were asked (${volumeId})`)
  return { kind: 'volume', id: volumeId, sizeMiB: size, context: volumeContext }
}

function contentSource({ kind, id }: ContentSource) {
  return kind === 'snapshot'
    ? { case: 'snapshot' as const, value: { snapshotId: id } }
    : { case: 'volume' as const, value: { volumeId: id } }
}

function floorMiB(bytes: bigint): number {
  return Number(bytes / MIB)
}

/** A capability by its name; none for one that is newer than we. */
function name(type: Readonly<Record<number, string>>, value: number): string[] {
  const found = type[value]
  return found === undefined ? [] : [found]
}

function wrong(what: string, answer: string): HoldfastError {
  return new HoldfastError('storage_failed', `the CSI plugin answered ${what} with ${answer}`)
}
