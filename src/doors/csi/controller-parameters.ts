import { isNear } from '../../model/near.ts'
import { parseRate, quote } from '../../model/units.ts'
import type { Access, VolumeFs } from '../../model/volume.ts'
import { badField, checkMap } from './fields.ts'

/** What `parameters` asked for, in the words of the REST interface; undefined where they said nothing. */
export interface Parameters {
  readonly pool?: string
  readonly poolLabels?: Readonly<Record<string, string>>
  readonly fs?: VolumeFs
  readonly iops?: number
  readonly profile?: string
  readonly role?: string
  readonly access?: Access
  readonly hold?: string
  readonly protected?: boolean
  readonly bandwidth?: number
  readonly labels?: Readonly<Record<string, string>>
}

const FILESYSTEMS: readonly VolumeFs[] = ['ext4', 'xfs', 'btrfs', 'directory', 'raw']
const ACCESSES: readonly Access[] = ['single-writer', 'many-readers', 'read-only', 'many-writers']
/** Kubernetes' sidecars say with this prefix what a volume is for: its claim, say. */
const ORCHESTRATOR = 'csi.storage.k8s.io/'

type Reader = (value: string, field: string) => Parameters
type Readers = Readonly<Record<string, Reader>>

const MUTABLE: Readers = {
  iops: (value, field) => ({ iops: rate('iops', value, field) }),
  access: (value, field) => ({ access: oneOf(ACCESSES, value, field) }),
  protected: (value, field) => ({ protected: boolean(value, field) }),
  bandwidth: (value, field) => ({ bandwidth: rate('bandwidth', value, field) }),
  labels: (value, field) => ({ labels: pairs(value, field) }),
}
const CREATE: Readers = {
  ...MUTABLE,
  pool: (value, field) => ({ pool: text(value, field) }),
  poolLabels: (value, field) => ({ poolLabels: pairs(value, field) }),
  fs: (value, field) => ({ fs: oneOf(FILESYSTEMS, value, field) }),
  profile: (value, field) => ({ profile: text(value, field) }),
  role: (value, field) => ({ role: text(value, field) }),
  hold: (value, field) => ({ hold: text(value, field) }),
}
const SNAPSHOT: Readers = { labels: (value, field) => ({ labels: pairs(value, field) }) }

type Map = Readonly<Record<string, string>>

/** Parameters of a volume; the mutable ones come first. @throws INVALID_ARGUMENT */
export function volumeParameters(parameters: Map, mutable: Map): Parameters {
  const changeable = read(MUTABLE, mutable, 'mutable_parameters')
  const given = read(CREATE, parameters, 'parameters')
  const labels = { ...given.labels, ...changeable.labels }
  return { ...given, ...changeable, ...(Object.keys(labels).length === 0 ? {} : { labels }) }
}

/** What can be changed of a volume that is there. @throws INVALID_ARGUMENT */
export function mutableParameters(mutable: Map): Parameters {
  return read(MUTABLE, mutable, 'mutable_parameters')
}

/** @throws INVALID_ARGUMENT */
export function snapshotParameters(parameters: Map): Parameters {
  return read(SNAPSHOT, parameters, 'parameters')
}

/** What tells a repeat from another request: without what an orchestrator says of its own accord. */
export function ownParameters(parameters: Map, mutable: Map): Map {
  const all = Object.entries({ ...parameters, ...mutable })
  return Object.fromEntries(all.filter(([key]) => !key.startsWith(ORCHESTRATOR)))
}

function read(readers: Readers, given: Map, field: string): Parameters {
  checkMap(field, given)
  let found: Parameters = {}
  const told: Record<string, string> = {}
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith(ORCHESTRATOR)) {
      told[key] = value
      continue
    }
    const reader = Object.hasOwn(readers, key) ? readers[key] : undefined
    if (reader === undefined) throw unknown(readers, key, field)
    found = { ...found, ...reader(value, `${field}.${key}`) }
  }
  return Object.keys(told).length === 0 ? found : { ...found, labels: { ...told, ...found.labels } }
}

function unknown(readers: Readers, key: string, field: string): Error {
  const known = Object.keys(readers)
  const near = known.filter((each) => isNear(each, key))
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `known are ${known.join(', ')}`
  return badField(field, `there is no ${quote(key)} here; ${hint}`)
}

function text(value: string, field: string): string {
  if (value === '') throw badField(field, 'it is empty')
  if (value.length > 255) throw badField(field, 'it is longer than 255 characters')
  return value
}

function oneOf<T extends string>(known: readonly T[], value: string, field: string): T {
  const found = known.find((each) => each === value)
  if (found !== undefined) return found
  throw badField(field, `${quote(value)} is none of ${known.join(', ')}`)
}

function boolean(value: string, field: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true'
  throw badField(field, `${quote(value)} is neither true nor false`)
}

function rate(option: string, value: string, field: string): number {
  try {
    return parseRate(option, value)
  } catch {
    throw badField(field, `${quote(value)} is not a whole number`)
  }
}

/** `team=web,tier=db`; an empty text is nothing. */
function pairs(value: string, field: string): Record<string, string> {
  const found: [string, string][] = []
  for (const pair of value.split(',').filter((each) => each !== '')) {
    const at = pair.indexOf('=')
    if (at < 1) throw badField(field, `${quote(value)} is not KEY=VALUE,KEY=VALUE`)
    found.push([pair.slice(0, at), pair.slice(at + 1)])
  }
  return Object.fromEntries(found)
}
