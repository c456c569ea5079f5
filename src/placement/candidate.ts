import type { Candidate, Check } from '../model/candidate.ts'

/**
 * A comparison whose words are made only when somebody is to read them: of a thousand pools that are ranked, most are
 * never spoken of.
 */
export type Judgement = Omit<Check, 'text'> & {
  readonly text: () => string
  /** What would mend it, if anything would. */
  readonly change?: () => string
}

export function fits(judgements: readonly Judgement[]): boolean {
  return judgements.every((each) => each.ok)
}

/** Puts judgements into words. `change` is said of the only one that fails. */
export function candidate(
  kind: Candidate['kind'],
  subject: { id: string; name: string },
  judgements: readonly Judgement[],
): Candidate {
  const failing = judgements.filter((each) => !each.ok)
  const [first] = failing
  const change = failing.length === 1 ? first?.change : undefined
  return {
    kind,
    id: subject.id,
    name: subject.name,
    fits: first === undefined,
    chosen: false,
    checks: judgements.map(({ change: _, text, ...each }) => ({ ...each, text: text() })),
    ...(first === undefined ? {} : { ruledOutBy: first.text() }),
    ...(change === undefined ? {} : { smallestChange: change() }),
  }
}
