import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }
const MOST_SECONDS = 10 * 366 * 86_400

/** Reads `90s`, `30m`, `24h`, `7d`, `2w` as seconds. @throws invalid_option */
export function parseDuration(option: string): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,9})([smhdw])$/.exec(text.trim())
    const seconds = match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN)
    if (seconds >= 0 && seconds <= MOST_SECONDS) return seconds
    throw new HoldfastError(
      'invalid_option',
      `${option} ${quote(text)}: write a time like 90s, 30m, 24h or 7d, at most ten years`,
      { option },
    )
  }
}
