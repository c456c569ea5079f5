import { formatSize } from '../../model/units.ts'
import type { ShownVolume } from './volumes.ts'

/** A volume as VolumeDriver.Get answers it; `docker volume inspect` prints the Status as it is. */
export function showVolume(volume: ShownVolume, mountpoint: string | undefined): object {
  const { id, name, pool, role, fs, access, state, iops, epoch, sizeMiB, createdAt, fault } = volume
  return {
    Name: name,
    Mountpoint: mountpoint ?? '',
    CreatedAt: createdAt,
    Status: {
      ...{ id, state, pool, role, fs, access, iops, epoch, createdAt, sizeMiB },
      size: formatSize(sizeMiB),
      protected: volume.protected,
      nodes: volume.attachments.map((each) => each.node),
      ...(mountpoint === undefined ? {} : { mountpoint }),
      ...(fault === undefined ? {} : { fault: `${fault.message}; next: ${fault.next}` }),
    },
  }
}

/** What is known of a mounted volume while the controller is away. */
export function showUnheard(name: string, id: string, mountpoint: string): object {
  return { Name: name, Mountpoint: mountpoint, Status: { id, mountpoint, state: 'mounted here; controller away' } }
}
