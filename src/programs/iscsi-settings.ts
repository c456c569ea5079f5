/** Settings of a pool whose objects are disks of an iSCSI target daemon, and the names that both sides know. */
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'

/** Naming authority of our targets and initiators (RFC 3720, 3.2.6.3.1). */
const AUTHORITY = 'iqn.2026-11.holdfast'
const DEFAULT_CONTROL = '/var/run/tgtd/socket.0'
const DEFAULT_PATIENCE_S = 120
const MAX_PATIENCE_S = 86_400

export interface IscsiSettings {
  /** HOST:PORT of the target daemon, as nodes reach it. */
  readonly portal: string
  /** Control socket of the target daemon. */
  readonly control: string
  /** Where the objects' files are, under the same path on the server and on nodes. */
  readonly directory: string
  /** How long a request to a disk may go unanswered before the disk is given up, in ms; undefined: for ever. */
  readonly patienceMs: number | undefined
}

interface Rule {
  readonly fits: (value: string) => boolean
  readonly wants: string
}

/** tgtadm takes paths in lists of `name=value,…`. */
const PLAIN_PATH = /^\/[A-Za-z0-9._+/@-]*$/
const RULES: Readonly<Record<string, Rule>> = {
  portal: { fits: isPortal, wants: 'HOST:PORT, an IPv6 address in brackets' },
  directory: { fits: isPath, wants: 'an absolute path without . or .., of letters, digits and . _ + @ - /' },
  control: {
    fits: (value) => isPath(value) && /\.\d{1,5}$/.test(value),
    wants: 'the absolute path of the control socket of tgtd, which ends with .0 or the number of its control port',
  },
  patience: { fits: isPatience, wants: `whole seconds up to ${MAX_PATIENCE_S}, or 0: for ever` },
  initiator: { fits: (value) => value === 'qemu', wants: 'qemu; the initiator of the kernel cannot be used yet' },
}

/**
 * Reads the settings of a pool.
 * @throws invalid_option naming the setting
 */
export function iscsiSettings(settings: Readonly<Record<string, string>>): IscsiSettings {
  for (const [key, value] of Object.entries(settings)) {
    const rule = Object.hasOwn(RULES, key) ? RULES[key] : undefined
    if (rule === undefined) {
      const known = Object.keys(RULES).join(', ')
      throw badSetting(key, `The driver iscsi has no setting ${key}; it has ${known}`)
    }
    if (!rule.fits(value)) {
      throw badSetting(key, `The setting ${key} is ${JSON.stringify(value)}: it can be ${rule.wants}`)
    }
  }
  const { portal, directory, control = DEFAULT_CONTROL, patience } = settings
  if (portal === undefined) throw badSetting('portal', 'The driver iscsi needs the setting portal')
  if (directory === undefined) throw badSetting('directory', 'The driver iscsi needs the setting directory')
  const seconds = patience === undefined ? DEFAULT_PATIENCE_S : Number(patience)
  return { portal, directory, control, patienceMs: seconds === 0 ? undefined : seconds * 1000 }
}

function isPath(value: string): boolean {
  return PLAIN_PATH.test(value) && resolve(value) === value
}

function isPatience(value: string): boolean {
  return /^\d{1,5}$/.test(value) && Number(value) <= MAX_PATIENCE_S
}

function isPortal(value: string): boolean {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(value) ?? []
  const bracketed = /^\[(.*)\]$/.exec(host)?.[1]
  const named = bracketed === undefined ? /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/.test(host) : isIPv6(bracketed)
  return named && Number(port) >= 1 && Number(port) <= 65_535
}

/** The end of the name that a node's initiator has: another one after every boot. @throws invalid_name */
export function accessName(node: { readonly id: string; readonly bootId: string }): string {
  const name = `${node.id}.${node.bootId}`
  if (/^[a-z0-9-]{1,64}\.[a-z0-9-]{1,64}$/.test(name)) return name
  throw new HoldfastError('invalid_name', `A node ${JSON.stringify(name)} can have no iSCSI name`)
}

export function initiatorName(access: string): string {
  return `${AUTHORITY}:${access}`
}

/** What `initiatorName` was given; undefined for the initiators of others. */
export function accessOf(initiator: string): string | undefined {
  return new RegExp(`^${AUTHORITY}:([a-z0-9-]+\\.[a-z0-9-]+)$`).exec(initiator)?.[1]
}

/** Whether an initiator is the same node, in the same boot or another one. */
export function isSameNode(initiator: string, access: string): boolean {
  return accessOf(initiator)?.split('.')[0] === access.split('.')[0]
}

/**
 * The target of an object. For writing there is one name: the target daemon takes each name once, and so lets no second
 * writer in. Readers have a target each.
 */
export function targetName(poolUuid: string, object: string, access: string, readOnly: boolean): string {
  const name = `${AUTHORITY}:${poolUuid}.${object}`
  return readOnly ? `${name}:${createHash('sha256').update(access).digest('hex').slice(0, 16)}` : name
}

/** The object that a target of this pool is of. */
export function objectOfTarget(poolUuid: string, target: string): string | undefined {
  const start = `${AUTHORITY}:${poolUuid}.`
  return target.startsWith(start) ? target.slice(start.length).replace(/:.*$/, '') : undefined
}

function badSetting(setting: string, text: string): HoldfastError {
  return new HoldfastError('invalid_option', text, { setting })
}
