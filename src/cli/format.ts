import { formatCount, formatSize } from '../model/units.ts'

const STEPS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
] as const

/** `3d4h`, `12m`, `45s`: two figures at most. */
export function formatAge(seconds: number): string {
  let rest = Math.max(0, Math.floor(seconds))
  const parts: string[] = []
  for (const [unit, length] of STEPS) {
    const amount = Math.floor(rest / length)
    if (amount > 0) parts.push(`${amount}${unit}`)
    rest %= length
  }
  if (parts.length === 0 || (parts.length === 1 && rest > 0)) parts.push(`${rest}s`)
  return parts.slice(0, 2).join('')
}

/** Time since. */
export function ageOf(time: string, now = Date.now()): string {
  return formatAge((now - Date.parse(time)) / 1000)
}

export function formatLabels(labels: Readonly<Record<string, string>>): string | undefined {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`)
  return pairs.length === 0 ? undefined : pairs.join(',')
}

export function sizeOrNone(mib: number | null | undefined): string | undefined {
  return mib === null || mib === undefined ? undefined : formatSize(mib)
}

export function countOrNone(count: number | null | undefined): string | undefined {
  return count === null || count === undefined ? undefined : formatCount(count)
}

export function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

/** `1,000,000,000 MiB (953.7TiB)`: exact and readable. */
export function bothSizes(mib: number): string {
  return `${formatCount(mib)} MiB (${formatSize(mib)})`
}
