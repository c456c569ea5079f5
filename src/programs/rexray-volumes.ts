/**
 * What REX-Ray prints with `--format json`. 0.4 to 0.11 print libStorage's volumes (`id`, `attachmentState`, …), 0.2 and
 * 0.3 Go's own field names (`VolumeID`, …) without a state, which is then told from who has the volume.
 */
import { HoldfastError } from '../model/errors.ts'

export interface RexrayVolume {
  readonly id: string
  /** Not unique, and empty where the storage has no name for it. */
  readonly name: string
  /** REX-Ray knows whole GiB only. */
  readonly sizeGiB: number
  readonly type: string
  readonly zone: string
  /** Attached to this machine, to none, to another one; or REX-Ray does not know. */
  readonly state: 'here' | 'free' | 'elsewhere' | 'unknown'
  /** The device on this machine, as far as it was said. */
  readonly device: string | undefined
  /** Where REX-Ray mounted it on this machine, as far as it was said. */
  readonly path: string | undefined
  /** Instances that have it. */
  readonly holders: readonly string[]
}

/** libStorage's numbers of `attachmentState`; 1 is `unknown`. */
const STATES: Readonly<Record<number, RexrayVolume['state']>> = { 2: 'here', 3: 'free', 4: 'elsewhere' }

/** An id that can be passed as an argument: no flag, no `/expression/`, no white space. */
const ID = /^[A-Za-z0-9][A-Za-z0-9._:@+=-]{0,254}$/

type Fields = ReadonlyMap<string, unknown>

/**
 * @param own id of this machine's instance, needed where no state is printed
 * @throws storage_failed when it is not an array of volumes
 */
export function parseVolumes(text: string, own?: string): RexrayVolume[] {
  return parseArray(text).map((value) => volumeOf(fieldsOf(value), own))
}

/** An array as REX-Ray prints it: `null` is an empty one. */
export function parseArray(text: string): unknown[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unreadable(text)
  }
  if (value === null) return []
  if (!Array.isArray(value)) throw unreadable(text)
  return value
}

/** The id of this machine's instance, out of `adapter instances`, whatever the version wraps around it. */
export function parseInstance(text: string): string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unreadable(text)
  }
  const found = findInstance(value)
  if (found === undefined) throw unreadable(text)
  return found
}

function findInstance(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, inner] of Object.entries(value)) {
    const id = key.toLowerCase() === 'instanceid' ? instanceOf(inner) : findInstance(inner)
    if (id !== undefined && id !== '') return id
  }
  return undefined
}

function volumeOf(fields: Fields, own: string | undefined): RexrayVolume {
  const id = text(fields, 'id') ?? text(fields, 'VolumeID') ?? ''
  const name = text(fields, 'name') ?? text(fields, 'Name') ?? ''
  if (!ID.test(id)) {
    const said = JSON.stringify(id)
    throw new HoldfastError(
      'storage_failed',
      `rexray lists a volume ${name} whose id ${said} cannot be passed back to it`,
    )
  }
  const list = fields.get('attachments') ?? fields.get('Attachments')
  const attachments = (Array.isArray(list) ? list : []).map((each) => attachmentOf(fieldsOf(each)))
  const state = stateOf(fields.get('attachmentState'), attachments, own)
  const mine = attachments.filter(({ instance }) => own === undefined || instance === own)
  return {
    id,
    name,
    sizeGiB: Number(fields.get('size') ?? fields.get('Size') ?? 0) || 0,
    type: text(fields, 'type') ?? text(fields, 'VolumeType') ?? '',
    zone: text(fields, 'availabilityZone') ?? text(fields, 'AvailabilityZone') ?? '',
    state,
    device: state === 'here' ? mine.find(({ device }) => device !== '')?.device : undefined,
    path: text(fields, 'Path') || undefined,
    holders: attachments.map(({ instance }) => instance),
  }
}

function attachmentOf(fields: Fields): { instance: string; device: string } {
  return {
    instance: instanceOf(fields.get('instanceID') ?? fields.get('InstanceID')) ?? '',
    device: text(fields, 'deviceName') ?? text(fields, 'DeviceName') ?? '',
  }
}

function instanceOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : text(fieldsOf(value), 'id')
}

function stateOf(
  said: unknown,
  attachments: readonly { instance: string }[],
  own: string | undefined,
): RexrayVolume['state'] {
  const known = typeof said === 'number' ? STATES[said] : undefined
  if (known !== undefined) return known
  if (own === undefined) return 'unknown'
  if (attachments.length === 0) return 'free'
  return attachments.some(({ instance }) => instance === own) ? 'here' : 'elsewhere'
}

function fieldsOf(value: unknown): Fields {
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : [])
}

function text(fields: Fields, key: string): string | undefined {
  const value = fields.get(key)
  return typeof value === 'string' ? value : undefined
}

function unreadable(output: string): HoldfastError {
  const said = output.trim() === '' ? 'nothing' : JSON.stringify(output.trim().slice(0, 200))
  // what `Programs` keeps of an output
  const long = output.length < 1_000_000 ? '' : '; its list of volumes is longer than 1 MiB, which is too long here'
  return new HoldfastError('storage_failed', `rexray answered ${said} where a list in JSON was expected${long}`, {
    output: output.slice(0, 4096),
  })
}
