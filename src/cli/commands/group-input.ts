import { HoldfastError } from '../../model/errors.ts'
import { checkName } from '../../model/names.ts'
import { nearest } from '../../model/near.ts'
import { parseRate, parseSize, quote } from '../../model/units.ts'

export interface GroupBody {
  readonly name?: string
  readonly onFailure?: string
  readonly volumes: readonly Record<string, unknown>[]
}

type Read = (value: unknown, where: string) => Record<string, unknown>

/** What a volume of a group may say, and what that is in the API. `size` takes a unit, `sizeMiB` does not. */
const KEYS: Readonly<Record<string, Read>> = {
  name: (value, where) => ({ name: checkName(`${where}volume`, String(value)) }),
  size: (value) => ({ sizeMiB: parseSize(String(value), 'refused') }),
  sizeMiB: (value) => ({ sizeMiB: typeof value === 'number' ? value : parseSize(`${String(value)}MiB`, 'refused') }),
  pool: asIs('pool'),
  poolLabels: asIs('poolLabels'),
  role: asIs('role'),
  iops: (value) => ({ iops: parseRate('iops', String(value)) }),
  fs: asIs('fs'),
  access: asIs('access'),
  from: asIs('from'),
  fromSnapshot: (value) => ({ from: { snapshot: String(value) } }),
  fromVolume: (value) => ({ from: { volume: String(value) } }),
  hold: asIs('hold'),
  protected: (value) => ({ protected: value === true || value === 'true' }),
  labels: asIs('labels'),
  bandwidth: (value) => ({ bandwidth: parseRate('bandwidth', String(value)) }),
}

function asIs(key: string): Read {
  return (value) => ({ [key]: value })
}

/** @throws invalid_option, invalid_size, invalid_name saying where */
function volumeFrom(given: unknown, where: string): Record<string, unknown> {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new HoldfastError('invalid_option', `${where}a volume is written as keys and values, e.g. name and size`)
  }
  let volume: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(given)) {
    const read = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined
    if (read === undefined) throw noSuchKey(key, Object.keys(KEYS), where)
    volume = { ...volume, ...read(value, where) }
  }
  for (const key of ['name', 'sizeMiB']) {
    if (volume[key] === undefined) {
      throw new HoldfastError(
        'invalid_option',
        `${where}every volume needs a name and a size; one has no ${key.replace('MiB', '')}`,
      )
    }
  }
  return volume
}

function noSuchKey(key: string, known: readonly string[], where: string): HoldfastError {
  const near = nearest(key, known)
  const meant = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${quote(near)}?`
  return new HoldfastError('invalid_option', `${where}no such key ${quote(key)}; ${meant}`)
}

/** Reads `name=data,size=10GiB,fs=xfs`. */
export function volumeFromText(text: string): Record<string, unknown> {
  const given: Record<string, string> = {}
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=')
    if (at < 1) throw new HoldfastError('invalid_option', `--volume ${quote(text)}: write it like name=data,size=10GiB`)
    given[pair.slice(0, at).trim()] = pair.slice(at + 1).trim()
  }
  return volumeFrom(given, '--volume: ')
}

const GROUP_KEYS = ['name', 'onFailure', 'volumes']

/** Reads a group from YAML, and so from JSON. @throws invalid_option naming the file */
export async function groupFromFile(file: string, text: string): Promise<GroupBody> {
  const { LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0])
    throw new HoldfastError('invalid_option', `${file}:${line}:${col}: ${error.message}`)
  }
  const given: unknown = document.toJS()
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new HoldfastError('invalid_option', `${file}: a group is written as a map with volumes in it`)
  }
  for (const key of Object.keys(given)) {
    if (!GROUP_KEYS.includes(key)) throw noSuchKey(key, GROUP_KEYS, `${file}: `)
  }
  const { volumes, ...rest } = given as { volumes?: unknown; name?: string; onFailure?: string }
  if (!Array.isArray(volumes) || volumes.length === 0) {
    throw new HoldfastError('invalid_option', `${file}: volumes: a list of at least one volume is needed`)
  }
  return { ...rest, volumes: volumes.map((each, index) => volumeFrom(each, `${file}: volumes[${index}]: `)) }
}
