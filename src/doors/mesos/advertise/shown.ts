import type { ProjectedDisk } from '../../../mesos/projection.ts'
import type { Labels, ReservationInfo } from '../../../mesos/resource.ts'

export type Reservations = readonly ReservationInfo[]

/** A divisible amount under one stack of reservations: MiB of capacity, or storage bandwidth in the node's unit. */
export interface Stack {
  readonly reservations: Reservations
  readonly amount: number
}

/** A disk as Mesos is told of it. Whether it is used makes no difference to that. */
export type ShownDisk = Omit<ProjectedDisk, 'usedHere'>

/** What an agent is told of one pool: plain data that can be written down and read back. */
export interface Shown {
  /** Grows with every change of what is said; the same version says the same. */
  readonly version: number
  /** The pool's type. */
  readonly vendor: string
  /** Of the capacity: which pool it is. */
  readonly metadata: Labels
  /** Stacks of nothing are left out. */
  readonly raw: readonly Stack[]
  readonly bandwidth: readonly Stack[]
  /** In the order of their ids. */
  readonly disks: readonly ShownDisk[]
}

/** What is divisible: capacity, and the scalar `storage_bw`. */
export type Divisible = 'raw' | 'bandwidth'

export function amountIn(stacks: readonly Stack[], reservations: Reservations): number {
  for (const stack of stacks) if (sameReservations(stack.reservations, reservations)) return stack.amount
  return 0
}

/** The list with so much more, or less, under one stack of reservations. */
export function withChange(stacks: readonly Stack[], reservations: Reservations, change: number): Stack[] {
  const amount = amountIn(stacks, reservations) + change
  const others = stacks.filter((stack) => !sameReservations(stack.reservations, reservations))
  return amount > 0 ? [...others, { reservations, amount }] : others
}

/** Sets and removes disks; the order stays that of the ids. */
export function withDisks(disks: readonly ShownDisk[], set: readonly ShownDisk[], removed: ReadonlySet<string>) {
  const changed = new Set(set.map((disk) => disk.volumeId))
  const kept = disks.filter((disk) => !removed.has(disk.volumeId) && !changed.has(disk.volumeId))
  return [...kept, ...set].sort((a, b) => (a.volumeId < b.volumeId ? -1 : 1))
}

/** Nothing is shown: then the agent may forget the provider. */
export function isNothing(shown: Shown): boolean {
  return shown.raw.length === 0 && shown.bandwidth.length === 0 && shown.disks.length === 0
}

/** The order of the levels counts; that of keys and labels does not. */
export function sameReservations(a: Reservations, b: Reservations): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let level = 0; level < a.length; level += 1) {
    const [left, right] = [a[level], b[level]]
    if (left === undefined || right === undefined || !sameLevel(left, right)) return false
  }
  return true
}

function sameLevel(a: ReservationInfo, b: ReservationInfo): boolean {
  return a.type === b.type && a.role === b.role && a.principal === b.principal && sameLabels(a.labels, b.labels)
}

/** Mesos compares labels as a set (src/common/type_utils.cpp). */
export function sameLabels(a: Labels | undefined, b: Labels | undefined): boolean {
  if (a === b) return true
  return labelTexts(a) === labelTexts(b)
}

function labelTexts(labels: Labels | undefined): string {
  const texts = (labels?.labels ?? []).map(({ key, value }) => JSON.stringify([key, value]))
  return texts.sort().join()
}

export function sameDisk(a: ShownDisk, b: ShownDisk): boolean {
  return (
    a.volumeId === b.volumeId &&
    a.sizeMiB === b.sizeMiB &&
    a.target === b.target &&
    a.profile === b.profile &&
    a.persistence?.id === b.persistence?.id &&
    a.persistence?.principal === b.persistence?.principal &&
    a.containerPath === b.containerPath &&
    (a.shared ?? false) === (b.shared ?? false) &&
    sameLabels(a.metadata, b.metadata) &&
    sameReservations(a.reservations, b.reservations)
  )
}
