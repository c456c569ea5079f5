import type { ShownDisk } from '../../../../../src/doors/mesos/advertise/shown.ts'
import type { ProjectedDisk, ProjectedRaw, Projection } from '../../../../../src/mesos/projection.ts'
import type { ReservationInfo } from '../../../../../src/mesos/resource.ts'

export function reserved(role: string): readonly ReservationInfo[] {
  return [{ type: 'DYNAMIC', role, principal: 'holdfast' }]
}

export const ADS = reserved('ads')
export const WEB = reserved('web')

export function raw(sizeMiB: number, reservations: readonly ReservationInfo[] = ADS): ProjectedRaw {
  return { reservations, sizeMiB }
}

export function disk(volumeId: string, set: Partial<ShownDisk> = {}): ProjectedDisk {
  return {
    volumeId,
    sizeMiB: 100,
    target: 'MOUNT',
    profile: 'fast',
    metadata: { labels: [{ key: 'filesystem', value: 'ext4' }] },
    reservations: ADS,
    persistence: { id: volumeId, principal: 'holdfast' },
    containerPath: 'data',
    usedHere: false,
    ...set,
  }
}

/** The disk as it is shown. */
export function shownDisk(volumeId: string, set: Partial<ShownDisk> = {}): ShownDisk {
  const { usedHere: _, ...shown } = disk(volumeId, set)
  return shown
}

export function projection(set: Partial<Projection> = {}): Projection {
  return {
    poolId: 'pool-1',
    pool: 'scaleio~row8~pool-hdd',
    vendor: 'scaleio',
    metadata: { labels: [{ key: 'pool', value: 'pool-hdd' }] },
    principal: 'holdfast',
    guarded: true,
    shrink: 'prompt',
    block: false,
    raw: [],
    disks: [],
    ...set,
  }
}
