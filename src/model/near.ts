/** Longer texts are compared by their beginning. */
const LONGEST = 200

/** Edits between two texts: insert, delete, change, and swap two neighbours (Damerau–Levenshtein, adjacent swaps). */
export function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const now = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1]
      let best = Math.min(at(last, column) + 1, at(now, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1))
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, at(before, column - 2) + 1)
      }
      now.push(best)
    }
    before = last
    last = now
  }
  return at(last, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0
}

/** Whether one text may be a slip for the other: a few edits for its length, or one contains the other. */
export function isNear(known: string, given: string): boolean {
  const [a, b] = [known.toLowerCase(), given.toLowerCase().slice(0, LONGEST)]
  if (b.length >= 2 && (a.includes(b) || b.includes(a))) return true
  return distance(a, b) <= allowance(b)
}

/** What somebody who wrote `text` probably meant; undefined when nothing is near enough. Case does not count. */
export function nearest(text: string, known: Iterable<string>): string | undefined {
  const wanted = text.toLowerCase().slice(0, LONGEST)
  const most = allowance(wanted)
  let best: { name: string; edits: number } | undefined
  for (const name of known) {
    const edits = distance(wanted, name.toLowerCase())
    if (edits <= most && edits < (best?.edits ?? Number.POSITIVE_INFINITY)) best = { name, edits }
  }
  return best?.name
}

/** How many edits still make it the same word. */
function allowance(text: string): number {
  return Math.min(3, Math.max(1, Math.floor(text.length * 0.4)))
}
