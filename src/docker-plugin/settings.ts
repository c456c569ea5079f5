/** What a pool says of its plugin. */
import { isAbsolute, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { nearest } from '../model/near.ts'
import { MAX_MIB, quote } from '../model/units.ts'

export interface PluginSettings {
  readonly plugin: string | undefined
  readonly socket: string | undefined
  readonly createOptions: Readonly<Record<string, string>>
  /** A file on the nodes with more of them, which nobody else is to see. */
  readonly optionsFile: string | undefined
  /** The option that takes a volume's size; undefined: the plugin is told none. */
  readonly sizeOption: string | undefined
  readonly sizeUnit: SizeUnit
  readonly sizeSuffix: string
  readonly markerSizeMiB: number
  readonly sharing: 'one' | 'many'
  readonly requireMount: boolean
}

type SizeUnit = 'GiB' | 'MiB' | 'bytes'
type Raw = Readonly<Record<string, string>>

const KNOWN = [
  ...['plugin', 'socket', 'createOptions', 'optionsFile', 'sizeOption', 'sizeUnit', 'sizeSuffix', 'markerSizeMiB'],
  ...['sharing', 'requireMount'],
]
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

/** @throws invalid_option naming the setting */
export function readSettings(raw: Raw): PluginSettings {
  for (const key of Object.keys(raw)) {
    if (KNOWN.includes(key)) continue
    const near = nearest(key, KNOWN)
    const hint = near === undefined ? `it has ${KNOWN.join(', ')}` : `did you mean ${near}?`
    throw bad(key, `the driver docker has no setting ${key}; ${hint}`)
  }
  const sizeOption = matching(raw, 'sizeOption', /^[^\s=,]{1,100}$/, 'the name of an option, such as size')
  for (const key of ['sizeUnit', 'sizeSuffix']) {
    if (raw[key] !== undefined && sizeOption === undefined) throw bad(key, `${key} needs the setting sizeOption`)
  }
  const createOptions = optionsOf(raw.createOptions ?? '')
  if (sizeOption !== undefined && Object.hasOwn(createOptions, sizeOption)) {
    throw bad('createOptions', `createOptions has ${sizeOption}, which is the sizeOption: each volume has its own size`)
  }
  return {
    ...address(raw),
    createOptions,
    optionsFile: path(raw, 'optionsFile'),
    sizeOption,
    sizeUnit: oneOf(raw, 'sizeUnit', ['GiB', 'MiB', 'bytes']),
    sizeSuffix: matching(raw, 'sizeSuffix', /^[A-Za-z]{0,8}$/, 'letters, such as G or GiB') ?? '',
    markerSizeMiB: markerSize(raw.markerSizeMiB ?? '1024'),
    sharing: oneOf(raw, 'sharing', ['one', 'many']),
    requireMount: oneOf(raw, 'requireMount', ['false', 'true']) === 'true',
  }
}

/** MiB of which sizes are multiples. */
export function unitOf({ sizeOption, sizeUnit }: PluginSettings): number {
  return sizeOption !== undefined && sizeUnit === 'GiB' ? 1024 : 1
}

/** What Create is told of a size. */
export function sizeOptions(settings: PluginSettings, sizeMiB: number): Record<string, string> {
  const { sizeOption, sizeUnit, sizeSuffix } = settings
  if (sizeOption === undefined) return {}
  const units = { GiB: BigInt(sizeMiB / unitOf(settings)), MiB: BigInt(sizeMiB), bytes: BigInt(sizeMiB) << 20n }
  return { [sizeOption]: `${units[sizeUnit]}${sizeSuffix}` }
}

function address(raw: Raw): Pick<PluginSettings, 'plugin' | 'socket'> {
  const plugin = matching(raw, 'plugin', NAME, 'the name of a plugin, such as rexray')
  const socket = path(raw, 'socket')
  if ((plugin === undefined) === (socket === undefined)) {
    const text = 'the driver docker needs one of the settings plugin (a name) and socket (the path of its socket)'
    throw bad('plugin', plugin === undefined ? text : `${text}, not both`)
  }
  return { plugin, socket }
}

/** `type=ssd,iops=3`; also one to a line, for values with commas. */
function optionsOf(text: string): Record<string, string> {
  const separator = text.includes('\n') ? '\n' : ','
  const pairs = text.split(separator).filter((pair) => pair.trim() !== '')
  const options = pairs.map((pair): [string, string] => {
    const at = pair.indexOf('=')
    const key = pair.slice(0, at).trim()
    if (at < 1 || key === '') throw bad('createOptions', `createOptions: ${quote(pair)} is not KEY=VALUE`)
    return [key, pair.slice(at + 1)]
  })
  const keys = options.map(([key]) => key)
  const twice = keys.find((key, index) => keys.indexOf(key) !== index)
  if (twice !== undefined) throw bad('createOptions', `createOptions has ${quote(twice)} twice`)
  return Object.fromEntries(options)
}

function markerSize(text: string): number {
  const size = /^\d{1,13}$/.test(text) ? Number(text) : 0
  if (size >= 1 && size <= MAX_MIB) return size
  throw bad('markerSizeMiB', `markerSizeMiB ${quote(text)}: a whole number of MiB, 1 or more`)
}

function path(raw: Raw, key: 'socket' | 'optionsFile'): string | undefined {
  const value = raw[key]
  if (value === undefined || (isAbsolute(value) && resolve(value) === value && !value.includes('\0'))) return value
  throw bad(key, `${key} ${quote(value)}: an absolute path without . or .. is needed`)
}

function matching(raw: Raw, key: string, pattern: RegExp, right: string): string | undefined {
  const value = raw[key]
  if (value === undefined || pattern.test(value)) return value
  throw bad(key, `${key} ${quote(value)}: ${right} is needed`)
}

/** The first one if nothing is said. */
function oneOf<Word extends string>(raw: Raw, key: string, words: readonly [Word, ...Word[]]): Word {
  const value = raw[key]
  if (value === undefined) return words[0]
  const word = words.find((each) => each === value)
  if (word === undefined) throw bad(key, `${key} ${quote(value)}: it can be ${words.join(' or ')}`)
  return word
}

function bad(setting: string, text: string): HoldfastError {
  return new HoldfastError('invalid_option', text, { setting })
}
