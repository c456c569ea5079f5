import { isName } from '../../model/names.ts'
import { digest } from '../../runtime/secrets.ts'
import { badField, requiredText } from './fields.ts'

/** 224 bits of a digest: with the prefix it is a name of 60 characters. */
const DIGITS = 56
const MADE = new RegExp(`^csi-[0-9a-f]{${DIGITS}}$`)
/** What no name of an orchestrator may have (csi.proto, CreateVolumeRequest.name). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BANNED = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/

/** Label of what an orchestrator calls by another name than Holdfast. */
const NAME_LABEL = 'csi.holdfast.io/name'

export interface Named {
  readonly name: string
  /** What the orchestrator calls it, where that is not its name. */
  readonly labels: Readonly<Record<string, string>>
}

/**
 * The name that something has in Holdfast when an orchestrator calls it so. Two names never become one: a name that is
 * none of ours becomes its digest, and so does one that looks like such a digest.
 * @throws INVALID_ARGUMENT
 */
export function named(given: string): Named {
  requiredText('name', given)
  if (BANNED.test(given)) throw badField('name', 'it has control characters')
  if (!given.isWellFormed()) throw badField('name', 'it is not Unicode')
  if (isName(given) && !MADE.test(given)) return { name: given, labels: {} }
  return { name: `csi-${digest(given).slice(0, DIGITS)}`, labels: { [NAME_LABEL]: printable(given) } }
}

/** Labels have no control characters; tabs and line ends are all that can be left of them. */
function printable(given: string): string {
  return given.replace(/[\t\n\r]/g, ' ')
}
