/** What drivers say of a volume that they don't have; `NAME` stands for its name, quoted or not. */
const WORDINGS = [
  /\bno such volume\b/,
  /\bunknown volume\b/,
  // libStorage, and so REX-Ray: "docker-legacy: Get: NAME: failed: resource not found"
  /NAME: failed: resource not found\W*$/,
  /\bno volume (?:was )?(?:found )?(?:named|called|with (?:the |this |given )?name)\b/,
  /\bvolume(?: named| called| with name)?[\s:]*(?:NAME)?:? (?:was |is |could )?(?:not (?:be )?found|(?:does not|doesn't) exist|wasn't found)\b/,
  /\b(?:could not|couldn't|cannot|can't|unable to|failed to) (?:find|locate) (?:the |a )?volume(?: NAME| named| with|\W*$)/,
]
const NOT_MOUNTED = /\bnot (?:currently )?mounted\b/i

/**
 * Whether a driver's error says that there is no such volume. An error that may mean something else (a pool or a
 * credential that is not found, say) is not taken for it: a volume would be made for no reason.
 */
export function saysAbsent(error: string, volume: string, more: readonly string[]): boolean {
  const name = `["'\`]?${escaped(volume)}["'\`]?`
  const known = WORDINGS.some(({ source }) =>
    new RegExp(
      source.replace('NAME', () => name),
      'i',
    ).test(error),
  )
  return known || more.some((words) => error.includes(words))
}

/** Whether an error of Unmount says that there is nothing to unmount. */
export function saysNotMounted(error: string): boolean {
  return NOT_MOUNTED.test(error)
}

function escaped(text: string): string {
  return text.replace(/[$()*+.?[\\\]^{|}/-]/g, '\\$&')
}
