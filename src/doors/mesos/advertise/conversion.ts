import { type Divisible, type Reservations, type Shown, type ShownDisk, withChange, withDisks } from './shown.ts'

/** What an operation of a framework or an operator does to the totals of the agent. */
export type Conversion =
  /** CREATE_DISK: capacity out, a disk in. */
  | { readonly kind: 'made'; readonly reservations: Reservations; readonly sizeMiB: number; readonly disk: ShownDisk }
  /** DESTROY_DISK: the disk out, its capacity back. */
  | {
      readonly kind: 'unmade'
      readonly volumeId: string
      readonly reservations: Reservations
      readonly sizeMiB: number
    }
  /** RESERVE and UNRESERVE of something divisible. */
  | {
      readonly kind: 'moved'
      readonly what: Divisible
      readonly from: Reservations
      readonly to: Reservations
      readonly amount: number
    }
  /** RESERVE, UNRESERVE, CREATE and DESTROY of a disk: the same disk says something else. */
  | { readonly kind: 'changed'; readonly disk: ShownDisk }

/** The same version after a conversion. */
export function convert(shown: Shown, conversion: Conversion): Shown {
  switch (conversion.kind) {
    case 'made':
      return {
        ...shown,
        raw: withChange(shown.raw, conversion.reservations, -conversion.sizeMiB),
        disks: withDisks(shown.disks, [conversion.disk], new Set()),
      }
    case 'unmade':
      return {
        ...shown,
        raw: withChange(shown.raw, conversion.reservations, conversion.sizeMiB),
        disks: withDisks(shown.disks, [], new Set([conversion.volumeId])),
      }
    case 'moved': {
      const { what, from, to, amount } = conversion
      return { ...shown, [what]: withChange(withChange(shown[what], from, -amount), to, amount) }
    }
    case 'changed':
      return { ...shown, disks: withDisks(shown.disks, [conversion.disk], new Set()) }
  }
}

/** By how much a conversion that may not be in the projection yet changes one stack. */
export function changeOf(conversion: Conversion, what: Divisible, same: (of: Reservations) => boolean): number {
  switch (conversion.kind) {
    case 'made':
      return what === 'raw' && same(conversion.reservations) ? -conversion.sizeMiB : 0
    case 'unmade':
      return what === 'raw' && same(conversion.reservations) ? conversion.sizeMiB : 0
    case 'moved': {
      if (conversion.what !== what) return 0
      return (same(conversion.to) ? conversion.amount : 0) - (same(conversion.from) ? conversion.amount : 0)
    }
    case 'changed':
      return 0
  }
}

/** Disks of which it says something. */
export function volumesOf(conversion: Conversion): string[] {
  if (conversion.kind === 'unmade') return [conversion.volumeId]
  return conversion.kind === 'moved' ? [] : [conversion.disk.volumeId]
}
