import { type ErrorCode, HoldfastError } from '../model/errors.ts'

/** What plugins say in which case. The words in brackets are what Holdfast's own plugin ends its sentences with. */
const WORDS: readonly [RegExp, ErrorCode][] = [
  [
    /no space left|out of space|not enough (?:free )?(?:space|capacity)|insufficient (?:\w+ )?(?:space|capacity)/i,
    'storage_full',
  ],
  [/quota exceeded|\[(?:storage_full|does_not_fit|quota_exceeded|object_too_large)\]$/i, 'storage_full'],
  [/read-?only file ?system|\[storage_read_only\]$/i, 'storage_read_only'],
  [/\bin use\b|\bbusy\b|\[(?:in_use|held_elsewhere|still_mounted|awaiting_proof)\]$/i, 'in_use'],
]

/** A plugin's refusal as an error of ours. */
export function refusal(label: string, what: string, said: string): HoldfastError {
  const code = WORDS.find(([words]) => words.test(said))?.[1] ?? 'storage_failed'
  return new HoldfastError(code, `${label} refused ${what}: ${said}`, { refusal: said })
}
