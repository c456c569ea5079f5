/** A bar of parts, each a share of the whole (0…1) and the character it is drawn with; the rest is dots. */
export function bar(parts: readonly (readonly [share: number, character: string])[], width: number): string {
  let text = ''
  let sum = 0
  for (const [share, character] of parts) {
    sum += Math.max(0, share)
    let end = Math.min(width, Math.round(sum * width))
    // what is there is seen, however little
    if (share > 0 && end === text.length && end < width) end += 1
    text = text.padEnd(end, character)
  }
  return `[${text.slice(0, width).padEnd(width, '·')}]`
}

/** Share of a limit; of no limit at all, everything is used as soon as anything is. */
export function share(amount: number, limit: number): number {
  if (limit > 0) return amount / limit
  return amount > 0 ? 1 : 0
}
