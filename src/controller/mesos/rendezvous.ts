/**
 * Chooses some of many so that a choice changes only by what comes or goes itself: each candidate has a score of its
 * own for the key, and the highest scores win (rendezvous hashing).
 */
export function rendezvous(key: string, candidates: readonly string[], count: number): string[] {
  const keyHash = hash(key)
  const best: { id: string; score: number }[] = []
  for (const id of candidates) {
    const score = mixed(keyHash ^ hash(id))
    const at = best.findIndex((each) => score > each.score || (score === each.score && id < each.id))
    if (at < 0 && best.length >= count) continue
    best.splice(at < 0 ? best.length : at, 0, { id, score })
    if (best.length > count) best.pop()
  }
  return best.map(({ id }) => id)
}

/** Hashes that were made once: a thousand nodes are scored for every volume. */
const HASHES = new Map<string, number>()
const MOST_HASHES = 100_000

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  const known = HASHES.get(text)
  if (known !== undefined) return known
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  if (HASHES.size >= MOST_HASHES) HASHES.clear()
  HASHES.set(text, value)
  return value
}

/** The finalizer of MurmurHash3: every bit of the sum depends on every bit of both. */
function mixed(sum: number): number {
  let value = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
