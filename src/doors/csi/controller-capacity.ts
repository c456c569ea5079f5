import type { MessageInitShape } from '@bufbuild/protobuf'
import { create } from '@bufbuild/protobuf'
import {
  type GetCapacityRequest,
  type GetCapacityResponseSchema,
  VolumeCapability_AccessMode_Mode as Mode,
  type VolumeCapability,
  VolumeCapabilitySchema,
} from '../../csi/generated/csi/v1/csi_pb.js'
import type { Candidate } from '../../model/candidate.ts'
import { roleAndAncestors } from '../../model/names.ts'
import { backableMiB, type Profile } from '../../model/profile.ts'
import { MAX_MIB } from '../../model/units.ts'
import type { VolumeFs } from '../../model/volume.ts'
import type { ControllerSettings } from './controller-config.ts'
import type { Ledger, Page } from './controller-ledger.ts'
import { type Plan, Planner } from './controller-plan.ts'
import { bytesOf } from './controller-size.ts'
import { poolsOf } from './controller-topology.ts'

/** The smallest device on which each filesystem is made with the options that Holdfast uses, MiB (tried). */
const LEAST_MIB: Readonly<Record<VolumeFs, number>> = { raw: 1, directory: 1, ext4: 1, xfs: 300, btrfs: 109 }

/** No volume has this name: what is asked is what could be made under it. */
const NOBODY = 'csi-capacity-of-no-volume'

interface ShownPool {
  readonly id: string
  readonly capabilities?: { readonly unitMiB?: number; readonly maxObjectMiB: number }
}

/** GetCapacity: what the ledger would still accept, for a topology, parameters and capabilities. */
export class Capacity {
  readonly #ledger: Ledger
  readonly #planner: Planner

  constructor(ledger: Ledger, settings: ControllerSettings) {
    this.#ledger = ledger
    this.#planner = new Planner(ledger, settings)
  }

  async capacity(request: GetCapacityRequest): Promise<MessageInitShape<typeof GetCapacityResponseSchema>> {
    const { parameters, accessibleTopology } = request
    const volumeCapabilities = request.volumeCapabilities.length === 0 ? [ANY] : request.volumeCapabilities
    const plan = await this.#planner.plan({ volumeCapabilities, parameters, mutableParameters: {} })
    const places =
      accessibleTopology === undefined
        ? undefined
        : await poolsOf(accessibleTopology, 'accessible_topology', (node) => this.#reachOf(node))
    const [candidates, pools, quota] = await Promise.all([
      this.#candidates(plan, places),
      this.#ledger.get<Page<ShownPool>>('/v1/pools?limit=1000'),
      this.#quota(plan),
    ])
    const rooms = candidates.map((each) =>
      roomIn(
        each,
        plan,
        pools.items.find(({ id }) => id === each.id),
      ),
    )
    const [freeMiB, largestMiB] = [
      Math.min(sum(rooms.map(({ free }) => free)), quota),
      Math.max(0, ...rooms.map(({ largest }) => largest)),
    ]
    return {
      availableCapacity: bytesOf(freeMiB),
      maximumVolumeSize: bytesOf(Math.min(largestMiB, quota)),
      minimumVolumeSize: bytesOf(leastOf(plan, rooms)),
    }
  }

  async #reachOf(node: string): Promise<readonly string[] | undefined> {
    return (await this.#ledger.find<{ reach: string[] }>(`/v1/nodes/${encodeURIComponent(node)}`))?.reach
  }

  /** The pools in which the smallest of such volumes would be made. */
  async #candidates({ body }: Plan, places: ReadonlySet<string> | undefined): Promise<Candidate[]> {
    const pools = places === undefined ? {} : { pools: [...places] }
    const volume = { ...body, name: NOBODY, sizeMiB: 1, ...pools }
    const told = await this.#ledger.send<{ considered: Candidate[][] }>('POST', '/v1/explain', { volumes: [volume] })
    return told.considered[0]?.filter(({ fits }) => fits) ?? []
  }

  /** What the role, and those above it, may still take, MiB. */
  async #quota({ body, profile }: Plan): Promise<number> {
    const shown = await Promise.all(
      roleAndAncestors(body.role).map((role) =>
        this.#ledger.get<{ free: { sizeMiB: number | null; iops: number | null } }>(
          `/v1/roles/${encodeURIComponent(role)}`,
        ),
      ),
    )
    const left = shown.map(({ free }) => {
      return Math.min(free.sizeMiB ?? MAX_MIB, backed(body.iops, profile, free.iops ?? undefined))
    })
    return Math.min(MAX_MIB, ...left)
  }
}

/** Without capabilities nobody says how it will be used: mounted, by one. */
const ANY: VolumeCapability = create(VolumeCapabilitySchema, {
  accessType: { case: 'mount', value: {} },
  accessMode: { mode: Mode.SINGLE_NODE_WRITER },
})

interface Room {
  readonly free: number
  readonly largest: number
  readonly unit: number
}

/** In whole units of the pool. A hold, where one is named, is all there is. */
function roomIn({ checks }: Candidate, { body, profile }: Plan, pool: ShownPool | undefined): Room {
  const freeOf = (...names: string[]) => checks.find(({ what }) => names.includes(what))?.free
  const unit = pool?.capabilities?.unitMiB ?? 1
  const free = freeOf('mib', 'hold-mib') ?? 0
  const within = Math.min(
    free,
    pool?.capabilities?.maxObjectMiB ?? MAX_MIB,
    backed(body.iops, profile, freeOf('iops', 'hold-iops')),
  )
  return { free, largest: Math.floor(within / unit) * unit, unit }
}

/** The largest size, MiB, that so many IOPS let a volume have. */
function backed(iops: number | undefined, profile: Profile | undefined, free: number | undefined): number {
  if (free === undefined) return MAX_MIB
  if (iops !== undefined) return iops <= free ? MAX_MIB : 0
  return profile === undefined ? MAX_MIB : Math.min(MAX_MIB, backableMiB(profile, free))
}

function leastOf({ body }: Plan, rooms: readonly Room[]): number {
  const least = LEAST_MIB[body.fs ?? 'ext4']
  const units = rooms.map(({ unit }) => Math.ceil(least / unit) * unit)
  return units.length === 0 ? least : Math.min(...units)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
