import type { MessageInitShape } from '@bufbuild/protobuf'
import type { CreateVolumeRequest, CreateVolumeResponseSchema } from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { formatMiB, formatSize } from '../../model/units.ts'
import { fingerprint } from '../../runtime/secrets.ts'
import { MAKING } from '../docker/resolves.ts'
import { readNeeds, unmet } from './controller-capabilities.ts'
import type { ControllerSettings } from './controller-config.ts'
import { isLeaving, type Ledger, type Page, type ShownVolume } from './controller-ledger.ts'
import { named } from './controller-names.ts'
import { ownParameters, volumeParameters } from './controller-parameters.ts'
import { type Patience, pending, whileWaited } from './controller-patience.ts'
import { type Plan, Planner } from './controller-plan.ts'
import { placement } from './controller-refusals.ts'
import { csiVolume } from './controller-show.ts'
import { isWithin, outOfRange, type SizeRange, sizeRange, sizeToAsk } from './controller-size.ts'
import { type Places, placesOf } from './controller-topology.ts'

/** A request that has been understood. */
interface Asked {
  readonly name: string
  /** Tells a repeat from a request for something else: the name is this door's idempotency key. */
  readonly fingerprint: string
  readonly range: SizeRange
  readonly places: Places
  readonly plan: Plan
  readonly body: { readonly sizeMiB: number; readonly [field: string]: unknown }
}

/** CreateVolume: answers when the volume can be used. */
export class Creator {
  readonly #ledger: Ledger
  readonly #settings: ControllerSettings
  readonly #patience: Patience
  readonly #planner: Planner

  constructor(ledger: Ledger, settings: ControllerSettings, patience: Patience) {
    this.#ledger = ledger
    this.#settings = settings
    this.#patience = patience
    this.#planner = new Planner(ledger, settings)
  }

  async create(
    request: CreateVolumeRequest,
    context: CallContext,
  ): Promise<MessageInitShape<typeof CreateVolumeResponseSchema>> {
    const { name } = named(request.name)
    const range = sizeRange(request.capacityRange)
    // what is wrong in itself is said before anything is looked for
    readNeeds(request.volumeCapabilities)
    volumeParameters(request.parameters, request.mutableParameters)
    return whileWaited(this.#patience, context, async (leftMs) => {
      // what it is to be copied from may be gone by the time of a repeat
      const existing = request.volumeContentSource === undefined ? undefined : await this.#ledger.volumeNamed(name)
      const asked = await this.#read(request, range, existing)
      const volume = existing ?? (await this.#make(asked, leftMs))
      this.#checkSame(asked, volume)
      await this.#settle(volume)
      return { volume: csiVolume(volume) }
    })
  }

  async #read(request: CreateVolumeRequest, range: SizeRange, existing: ShownVolume | undefined): Promise<Asked> {
    const { volumeContentSource, parameters, mutableParameters, accessibilityRequirements } = request
    const { name, labels } = named(request.name)
    const origin = existing === undefined ? await this.#planner.origin(volumeContentSource) : undefined
    const plan = await this.#planner.plan(request, origin)
    const places = await placesOf(accessibilityRequirements, (node) => this.#reachOf(node))
    const from = origin === undefined ? {} : { from: { [origin.kind]: origin.id } }
    const mark = fingerprint({ csi: ownParameters(parameters, mutableParameters), source: sourceId(request) })
    const sizeMiB = sizeToAsk(range, origin?.shown.sizeMiB, this.#settings.defaultSizeMiB)
    const body = { ...plan.body, name, fingerprint: mark, sizeMiB, ...from, labels: { ...plan.body.labels, ...labels } }
    return { name, fingerprint: mark, range, places, plan, body }
  }

  async #reachOf(node: string): Promise<readonly string[] | undefined> {
    return (await this.#ledger.find<{ reach: string[] }>(`/v1/nodes/${encodeURIComponent(node)}`))?.reach
  }

  /** In the places that are preferred, then wherever it may be. */
  async #make(asked: Asked, leftMs: number): Promise<ShownVolume> {
    const { preferred, allowed } = asked.places
    const sets = [...preferred, allowed]
    for (const [index, places] of sets.entries()) {
      try {
        return await this.#makeIn(asked, places, leftMs)
      } catch (thrown) {
        const last = index === sets.length - 1
        if (last || !(thrown instanceof GrpcError && thrown.code === 'RESOURCE_EXHAUSTED')) throw thrown
      }
    }
    throw new GrpcError('RESOURCE_EXHAUSTED', 'there is no place for it') // there is always a last set
  }

  async #makeIn(asked: Asked, places: ReadonlySet<string> | undefined, leftMs: number): Promise<ShownVolume> {
    const pools = await this.#fittingPools(asked, places)
    const body = pools === undefined ? asked.body : { ...asked.body, pools: [...pools] }
    try {
      return (await this.#ledger.send<{ volume: ShownVolume }>('POST', '/v1/volumes', body, leftMs)).volume
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      const existing = error.code === 'name_taken' ? await this.#ledger.volumeNamed(asked.name) : undefined
      if (existing !== undefined) return existing
      if (error.code === 'name_taken') throw pending(`the name ${asked.name} is just getting free`)
      throw await this.#failed(asked, error, pools !== undefined)
    }
  }

  /** Pools round up to their unit: where that would exceed the limit is no place for it. */
  async #fittingPools(
    { range: { most }, body }: Asked,
    places: ReadonlySet<string> | undefined,
  ): Promise<ReadonlySet<string> | undefined> {
    if (most === undefined) return places
    const { items } =
      await this.#ledger.get<Page<{ id: string; capabilities?: { unitMiB?: number } }>>('/v1/pools?limit=1000')
    const within = items.filter(({ capabilities: { unitMiB = 1 } = {} }) => {
      return Math.ceil(body.sizeMiB / unitMiB) * unitMiB <= most
    })
    if (within.length === items.length) return places
    if (within.length === 0) throw outOfRange('no pool has a size in it; they round up to their units')
    return new Set(within.map(({ id }) => id).filter((id) => places?.has(id) !== false))
  }

  /** What could not be made must not keep its name. */
  async #failed(asked: Asked, error: HoldfastError, placed: boolean): Promise<Error> {
    const volume = error.data.volume as ShownVolume | undefined
    if (typeof volume !== 'object') return placement(error, placed)
    if (volume.state !== 'error' || !isUnmade(volume) || volume.fingerprint !== asked.fingerprint) return error
    // if this fails too, the next call for the name does it
    await this.#ledger.send('DELETE', `/v1/volumes/${volume.id}`).catch(() => undefined)
    return new HoldfastError(error.code, `the volume could not be made: ${error.message}`)
  }

  /** @throws ALREADY_EXISTS */
  #checkSame({ fingerprint: mark, range, places, plan }: Asked, volume: ShownVolume): void {
    const { name, role, sizeMiB } = volume
    if (isLeaving(volume)) throw pending(`another volume ${name} is being deleted`)
    const differs = () => {
      if (!this.#ledger.roles.includes(role)) return 'it belongs to another role'
      if (volume.fingerprint !== mark) return 'it was asked for with other parameters, or another source'
      if (!isWithin(range, sizeMiB)) return `it has ${formatSize(sizeMiB)} (${formatMiB(sizeMiB)})`
      if (places.allowed?.has(volume.poolId) === false) return `it is in pool ${volume.pool}`
      return unmet(plan.needs.wishes, volume)
    }
    const why = differs()
    if (why !== undefined) throw new GrpcError('ALREADY_EXISTS', `volume ${name} exists already: ${why}`)
  }

  /** @throws while it is not available; what was left by an earlier failure is made anew */
  async #settle(volume: ShownVolume): Promise<void> {
    const { id, name, state, fault } = volume
    if (state === 'available') return
    if (MAKING.has(state)) throw pending(`volume ${name} is still being made (${state})`)
    if (state === 'error' && isUnmade(volume)) {
      await this.#ledger.send('DELETE', `/v1/volumes/${id}`)
      throw pending(`volume ${name} is being made again`)
    }
    throw new GrpcError('INTERNAL', `volume ${name} is ${state}: ${fault?.message ?? 'it needs an operator'}`)
  }
}

/** Nobody can have data there: no filesystem was ever finished on it; and a raw volume that we made had no user yet. */
function isUnmade({ format: { state }, imported }: ShownVolume): boolean {
  return state === 'blank' || state === 'formatting' || (state === 'none' && !imported)
}

function sourceId({ volumeContentSource: source }: CreateVolumeRequest): string {
  if (source?.type.case === 'snapshot') return `snapshot ${source.type.value.snapshotId}`
  return source?.type.case === 'volume' ? `volume ${source.type.value.volumeId}` : ''
}
