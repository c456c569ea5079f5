/** What the double prints, in the shapes and the order of fields that were recorded. */
import type { Volume } from './state.ts'

export interface Shown {
  readonly volume: Volume
  /** Told only by calls that deal with paths. */
  readonly path?: string
  readonly mountPoint?: string
  readonly withDevice: boolean
}

/** libStorage's numbers. */
export function stateOf({ attachments }: Volume, own: string): 2 | 3 | 4 {
  if (attachments.length === 0) return 3
  return attachments.some(({ instance }) => instance === own) ? 2 : 4
}

export function newShape({ volume, path, mountPoint, withDevice }: Shown, own: string): object {
  const { id, name, size, type, zone, iops } = volume
  const attachments = volume.attachments.map(({ instance, device }) => ({
    ...(withDevice && instance === own ? { deviceName: device } : {}),
    ...(mountPoint === undefined ? {} : { mountPoint }),
    instanceID: { id: instance, driver: 'vfs', service: 'vfs' },
    status: 'attached',
    volumeID: id,
  }))
  return {
    ...(attachments.length === 0 ? {} : { attachments }),
    ...(id === '' ? {} : { attachmentState: stateOf(volume, own) }),
    ...(zone === '' ? {} : { availabilityZone: zone }),
    ...(iops === 0 ? {} : { iops }),
    name,
    ...(size === 0 || id === '' ? {} : { size }),
    ...{ id, type },
    ...(path === undefined ? {} : { Path: path }),
  }
}

/** Go's own field names, as 0.2 and 0.3 print them. */
export function oldShape({ volume, withDevice }: Shown, own: string): object {
  const { id, name, size, type, zone, iops } = volume
  return {
    ...{ Name: name, VolumeID: id, AvailabilityZone: zone, Status: '', VolumeType: type, IOPS: iops },
    ...{ Size: String(size), NetworkName: '' },
    Attachments: volume.attachments.map(({ instance, device }) => ({
      ...{ VolumeID: id, InstanceID: instance, DeviceName: withDevice && instance === own ? device : '', Status: '' },
    })),
  }
}

export function table(volumes: readonly Volume[], own: string): string {
  const states = { 2: 'attached', 3: 'available', 4: 'unavailable' } as const
  const rows = [
    ['ID', 'Name', 'Status', 'Size'],
    ...volumes.map((volume) => [volume.id, volume.name, states[stateOf(volume, own)], String(volume.size)]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)) + 2)
  return rows.map((row) => `${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('')}\n`).join('')
}

/** As logrus writes where no terminal is. */
export function logLine(message: string, fields: Readonly<Record<string, string>> = {}): string {
  const quoted = (text: string) => (/^[A-Za-z0-9._/@^+-]+$/.test(text) ? text : JSON.stringify(text))
  const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${quoted(value)} `)
  return `time="${time}" level=fatal msg=${JSON.stringify(message)} ${rest.join('')}\n`
}
