import { HoldfastError } from '../../model/errors.ts'
import { isNear } from '../../model/near.ts'
import { parseRate, parseSize, quote } from '../../model/units.ts'
import type { Access, VolumeFs } from '../../model/volume.ts'

/** What `docker volume create --opt …` asked for; undefined where it said nothing. */
export interface CreateOptions {
  readonly sizeMiB?: number
  readonly pool?: string
  readonly fs?: VolumeFs
  readonly iops?: number
  readonly access?: Access
  readonly role?: string
  readonly from?: { readonly kind: 'snapshot' | 'volume' | undefined; readonly name: string }
  readonly protected?: boolean
  readonly labels?: Readonly<Record<string, string>>
}

const FILESYSTEMS: readonly VolumeFs[] = ['ext4', 'xfs', 'btrfs']
const ACCESSES: Readonly<Record<string, Access>> = {
  'single-writer': 'single-writer',
  rw: 'single-writer',
  'many-readers': 'many-readers',
  'read-only': 'read-only',
  ro: 'read-only',
}

const READERS: Readonly<Record<string, (value: string) => CreateOptions>> = {
  size: (value) => ({ sizeMiB: parseSize(value, 'GiB') }),
  pool: (value) => ({ pool: notEmpty('pool', value) }),
  fs: (value) => ({ fs: readFs(value) }),
  iops: (value) => ({ iops: parseRate('iops', value) }),
  access: (value) => ({ access: readAccess(value) }),
  role: (value) => ({ role: notEmpty('role', value) }),
  from: (value) => ({ from: readFrom(value) }),
  protect: (value) => ({ protected: readBoolean('protect', value) }),
  labels: (value) => ({ labels: readLabels(value) }),
}

/** @throws invalid_option for an option that is unknown or has a bad value, invalid_size */
export function readOptions(options: Readonly<Record<string, string>>): CreateOptions {
  let read: CreateOptions = {}
  for (const [name, value] of Object.entries(options)) {
    const reader = Object.hasOwn(READERS, name) ? READERS[name] : undefined
    if (reader === undefined) throw unknown(name)
    read = { ...read, ...reader(value) }
  }
  return read
}

function unknown(name: string): HoldfastError {
  const known = Object.keys(READERS)
  const near = known.filter((each) => isNear(each, name))
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `known are ${known.join(', ')}`
  return new HoldfastError('invalid_option', `there is no option ${quote(name)}; ${hint}`, { option: name, near })
}

function wrong(option: string, value: string, right: string): HoldfastError {
  return new HoldfastError('invalid_option', `${option} ${quote(value)}: ${right}`, { option })
}

function notEmpty(option: string, value: string): string {
  if (value === '') throw wrong(option, value, 'it is empty')
  return value
}

function readFs(value: string): VolumeFs {
  if (value === 'raw') throw wrong('fs', value, `Docker mounts filesystems; one of ${FILESYSTEMS.join(', ')}`)
  const fs = FILESYSTEMS.find((each) => each === value)
  if (fs === undefined) throw wrong('fs', value, `one of ${FILESYSTEMS.join(', ')}`)
  return fs
}

function readAccess(value: string): Access {
  const access = Object.hasOwn(ACCESSES, value) ? ACCESSES[value] : undefined
  if (access === undefined) throw wrong('access', value, `one of ${Object.keys(ACCESSES).join(', ')}`)
  return access
}

function readBoolean(option: string, value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true'
  throw wrong(option, value, 'true or false')
}

function readFrom(value: string): NonNullable<CreateOptions['from']> {
  const match = /^(?:(snapshot|volume):)?([A-Za-z0-9_.-]+)$/.exec(value)
  if (match?.[2] === undefined) throw wrong('from', value, 'snapshot:NAME, volume:NAME or NAME')
  return { kind: match[1] as 'snapshot' | 'volume' | undefined, name: match[2] }
}

/** `team=web,tier=db`; an empty text is no labels. The controller checks keys and values. */
function readLabels(value: string): Record<string, string> {
  const labels: [string, string][] = []
  for (const pair of value.split(',').filter((each) => each !== '')) {
    const at = pair.indexOf('=')
    if (at < 1) throw wrong('labels', value, 'KEY=VALUE,KEY=VALUE')
    labels.push([pair.slice(0, at), pair.slice(at + 1)])
  }
  return Object.fromEntries(labels)
}
