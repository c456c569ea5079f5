/** What a pool says of its CSI plugin. */
import { isAbsolute, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { nearest } from '../model/near.ts'
import { MAX_MIB, quote } from '../model/units.ts'

export interface CsiPluginSettings {
  /** Where the Node service is, and the Controller service unless it is apart. */
  readonly endpoint: string
  readonly controllerEndpoint: string
  readonly mode: 'block' | 'mount'
  readonly parameters: Map
  readonly snapshotParameters: Map
  /** A file on the nodes with secrets for the calls. */
  readonly secretsFile: string | undefined
  /** Segments of the topology in which volumes are made. */
  readonly topology: Map | undefined
  /** Where volumes are staged and published; undefined: in a directory of the node's own. */
  readonly stagingRoot: string | undefined
  /** Filesystem of a mounted volume; empty: the plugin's own choice. */
  readonly fsType: string
  readonly mountFlags: readonly string[]
  readonly unitMiB: number
  readonly sharing: 'one' | 'readers' | 'writers'
  readonly fence: 'none' | 'unpublish'
}

type Map = Readonly<Record<string, string>>

/** What a pool can say. */
export const KNOWN = [
  ...['endpoint', 'controllerEndpoint', 'mode', 'parameters', 'snapshotParameters', 'secretsFile', 'topology'],
  ...['stagingRoot', 'fsType', 'mountFlags', 'unitMiB', 'sharing', 'fence'],
]
const FOR_MOUNTS = ['fsType', 'mountFlags']

/** @throws invalid_option naming the setting */
export function csiPluginSettings(raw: Map): CsiPluginSettings {
  for (const key of Object.keys(raw)) {
    if (KNOWN.includes(key)) continue
    const near = nearest(key, KNOWN)
    const hint = near === undefined ? `it has ${KNOWN.join(', ')}` : `did you mean ${near}?`
    throw bad(key, `the driver csi has no setting ${key}; ${hint}`)
  }
  const endpoint = endpointOf(raw, 'endpoint')
  if (endpoint === undefined)
    throw bad('endpoint', 'the driver csi needs the setting endpoint: unix:///path/of/the.sock')
  const mode = oneOf(raw, 'mode', ['block', 'mount'])
  const sharing = oneOf(raw, 'sharing', ['one', 'readers', 'writers'])
  const fence = oneOf(raw, 'fence', ['none', 'unpublish'])
  const forMounts = FOR_MOUNTS.find((key) => raw[key] !== undefined)
  if (mode === 'block' && forMounts !== undefined) throw bad(forMounts, `${forMounts} needs mode=mount`)
  if (mode === 'block' && sharing === 'writers') {
    throw bad('sharing', 'sharing=writers needs mode=mount: Holdfast makes no filesystem for several writers')
  }
  if (fence !== 'none' && sharing !== 'one') {
    throw bad('fence', `fence=${fence} needs sharing=one: it takes a volume from every other node`)
  }
  const topology = pairs(raw, 'topology')
  return {
    ...{ endpoint, mode, sharing, fence },
    controllerEndpoint: endpointOf(raw, 'controllerEndpoint') ?? endpoint,
    parameters: pairs(raw, 'parameters'),
    snapshotParameters: pairs(raw, 'snapshotParameters'),
    secretsFile: path(raw, 'secretsFile'),
    topology: Object.keys(topology).length === 0 ? undefined : topology,
    stagingRoot: path(raw, 'stagingRoot'),
    fsType: raw.fsType ?? '',
    mountFlags: (raw.mountFlags ?? '').split(',').filter((flag) => flag !== ''),
    unitMiB: unit(raw.unitMiB ?? '1'),
  }
}

/** A unix socket: secrets and mounts go over it, and what is not encrypted must not leave the machine. */
function endpointOf(raw: Map, key: string): string | undefined {
  const value = raw[key]
  if (value === undefined || /^(?:unix:\/\/)?\/[^/\0][^\0]*$/.test(value)) return value
  if (/^tcp:\/\/(?:127\.0\.0\.1|localhost|\[::1\]):\d{1,5}$/.test(value)) return value
  throw bad(key, `${key} ${quote(value)}: unix:///path/of/the.sock is needed, or tcp://127.0.0.1:PORT`)
}

/** `type=ssd,iops=3`; also one to a line, for values with commas. */
function pairs(raw: Map, key: string): Record<string, string> {
  const text = raw[key] ?? ''
  const found: Record<string, string> = {}
  for (const pair of text.split(text.includes('\n') ? '\n' : ',')) {
    if (pair.trim() === '') continue
    const at = pair.indexOf('=')
    const name = pair.slice(0, at).trim()
    if (at < 1 || name === '') throw bad(key, `${key}: ${quote(pair)} is not KEY=VALUE`)
    if (Object.hasOwn(found, name)) throw bad(key, `${key} has ${quote(name)} twice`)
    found[name] = pair.slice(at + 1)
  }
  return found
}

function path(raw: Map, key: string): string | undefined {
  const value = raw[key]
  if (
    value === undefined ||
    (isAbsolute(value) && value !== '/' && resolve(value) === value && !value.includes('\0'))
  ) {
    return value
  }
  throw bad(key, `${key} ${quote(value)}: an absolute path without . or .. is needed`)
}

function unit(text: string): number {
  const size = /^\d{1,13}$/.test(text) ? Number(text) : 0
  if (size >= 1 && size <= MAX_MIB) return size
  throw bad('unitMiB', `unitMiB ${quote(text)}: a whole number of MiB, 1 or more`)
}

/** The first one if nothing is said. */
function oneOf<Word extends string>(raw: Map, key: string, words: readonly [Word, ...Word[]]): Word {
  const value = raw[key]
  if (value === undefined) return words[0]
  const word = words.find((each) => each === value)
  if (word === undefined) throw bad(key, `${key} ${quote(value)}: it can be ${words.join(' or ')}`)
  return word
}

function bad(setting: string, text: string): HoldfastError {
  return new HoldfastError('invalid_option', text, { setting })
}
