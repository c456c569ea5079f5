/** Which volumes REX-Ray takes for those that were named: more than one would think. */
import type { Volume } from './state.ts'

export interface Match {
  readonly volume: Volume
  /** The id or the name by which it matched: what `rm` prints. */
  readonly matched: string
  readonly exact: boolean
  /** By its beginning only, and not as the only one. */
  readonly doubtful: boolean
}

interface Found {
  readonly volume: Volume
  readonly word: string
  readonly by: 'id' | 'name'
  readonly how: 'exact' | 'partial' | 'expression'
}

/** Undefined: nothing matched at all, and REX-Ray says `no volumes found`. */
export function matching(volumes: readonly Volume[], words: readonly string[]): Match[] | undefined {
  const found = volumes.flatMap((volume) => firstMatch(volume, words) ?? [])
  const count = (each: Found) =>
    found.filter(({ by, word, how }) => by === each.by && word === each.word && how !== 'expression').length
  const matches = found.map((each) => ({
    volume: each.volume,
    matched: each.by === 'id' ? each.volume.id : each.volume.name,
    exact: each.how !== 'partial',
    doubtful: each.how === 'partial' && count(each) > 1,
  }))
  return matches.some(({ exact, doubtful }) => exact || !doubtful) ? matches : undefined
}

function firstMatch(volume: Volume, words: readonly string[]): Found | undefined {
  for (const word of words) {
    for (const by of ['id', 'name'] as const) {
      const how = matchOf(volume[by], word)
      if (how !== undefined) return { volume, word, by, how }
    }
  }
  return undefined
}

function matchOf(text: string, word: string): Found['how'] | undefined {
  const expression = /^\/(.*)\/$/.exec(word)?.[1]
  if (expression !== undefined) return new RegExp(expression, 'i').test(text) ? 'expression' : undefined
  const [whole, start] = [text.toLowerCase(), word.toLowerCase()]
  if (whole === start) return 'exact'
  return whole.startsWith(start) ? 'partial' : undefined
}
