export interface Range {
  readonly begin: number
  readonly end: number
}

type Ranges = readonly Range[] | undefined

/** Sorted, and joined where they touch. */
export function addRanges(a: Ranges, b: Ranges): Range[] {
  const all = [...(a ?? []), ...(b ?? [])].sort((x, y) => x.begin - y.begin)
  const joined: Range[] = []
  for (const range of all) {
    const last = joined.at(-1)
    if (last !== undefined && range.begin <= last.end + 1) {
      joined[joined.length - 1] = { begin: last.begin, end: Math.max(last.end, range.end) }
    } else {
      joined.push(range)
    }
  }
  return joined
}

export function subtractRanges(from: Ranges, what: Ranges): Range[] {
  let rest = addRanges(from, [])
  for (const cut of what ?? []) {
    rest = rest.flatMap((range) => {
      if (cut.end < range.begin || cut.begin > range.end) return [range]
      const before = { begin: range.begin, end: cut.begin - 1 }
      const after = { begin: cut.end + 1, end: range.end }
      return [before, after].filter(({ begin, end }) => begin <= end)
    })
  }
  return rest
}

export function holdsRanges(all: Ranges, part: Ranges): boolean {
  const joined = addRanges(all, [])
  return (part ?? []).every(({ begin, end }) => joined.some((range) => range.begin <= begin && range.end >= end))
}
