import { type DescField, type DescMessage, getOption, type Message } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { csi_secret } from './generated/csi/v1/csi_pb.js'

const HIDDEN = '(secret)'
/** A request may have 4 MiB; a log line should not. */
const MAX_TEXT = 256
const MAX_ITEMS = 32
/** Not marked in csi.proto, but its comment there says that it may hold secrets (`password=…` of a share). */
const MOUNT_FLAGS = 'csi.v1.VolumeCapability.MountVolume.mount_flags'

/**
 * A message as plain data for a log line: secrets are hidden (their keys stay), long texts and lists are cut, names
 * are those of the .proto file. Never throws, whatever the message holds.
 */
export function redacted(schema: DescMessage, message: Message): Record<string, unknown> {
  return plain(reflect(schema, message))
}

function plain(message: ReflectMessage): Record<string, unknown> {
  const set = message.fields.filter((field) => message.isSet(field))
  return Object.fromEntries(set.map((field) => [field.name, fieldValue(message, field)]))
}

function fieldValue(message: ReflectMessage, field: DescField): unknown {
  const hide = hiding(field)
  switch (field.fieldKind) {
    case 'message':
      return hide ? HIDDEN : plain(message.get(field))
    case 'enum':
      return hide ? HIDDEN : (field.enum.value[message.get(field)]?.name ?? message.get(field))
    case 'scalar':
      return scalar(message.get(field), hide)
    case 'list':
      return cut([...message.get(field)]).map((item) => element(item, hide))
    case 'map': {
      const entries = cut([...message.get(field)])
      return Object.fromEntries(entries.map(([key, item]) => [scalar(key), element(item, hide)]))
    }
  }
}

type Hide = (value: unknown) => unknown

function hiding(field: DescField): Hide | undefined {
  if (getOption(field, csi_secret)) return () => HIDDEN
  if (`${field.parent.typeName}.${field.name}` === MOUNT_FLAGS)
    return (flag) => String(flag).replace(/=.*/s, `=${HIDDEN}`)
  return undefined
}

function element(item: unknown, hide: Hide | undefined): unknown {
  return isReflected(item) && hide === undefined ? plain(item) : scalar(item, hide)
}

function isReflected(item: unknown): item is ReflectMessage {
  return typeof item === 'object' && item !== null && 'desc' in item && 'message' in item
}

function scalar(value: unknown, hide?: Hide): unknown {
  const shown = hide === undefined ? value : hide(value)
  if (shown instanceof Uint8Array) return `${shown.length} bytes`
  // JSON has no numbers of 64 bits
  if (typeof shown === 'bigint') return String(shown)
  return typeof shown === 'string' && shown.length > MAX_TEXT ? `${shown.slice(0, MAX_TEXT)}…` : shown
}

function cut<T>(items: T[]): T[] {
  return items.slice(0, MAX_ITEMS)
}
