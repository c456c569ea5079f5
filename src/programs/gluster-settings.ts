/** The settings of a pool on a GlusterFS volume, checked. Nothing of them reaches a shell; all of them reach a command line. */
import { HoldfastError } from '../model/errors.ts'

export interface GlusterSettings {
  /** Servers to ask for the volume's description, in this order. */
  readonly servers: readonly string[]
  readonly volume: string
  /** Where the pool is inside the volume: absolute, `/` for the whole of it. */
  readonly directory: string
  /** Options of the client's command line. */
  readonly options: readonly string[]
  /** As the driver loop has it. */
  readonly directIo: string | undefined
}

const KEYS = ['volume', 'servers', 'directory', 'mountOptions', 'directIo']
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])$/
const VOLUME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/
const MAX_SERVERS = 16

/**
 * Options of glusterfs(8) that change how fast or how chatty a client is. Those that would let it answer from what it
 * remembers are not among them: a node must see at once what another one wrote.
 */
const OPTIONS: Readonly<Record<string, RegExp>> = {
  'log-level': /^(TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL|NONE)$/,
  'reader-thread-count': /^[1-9]\d?$/,
  'background-qlen': /^[1-9]\d{0,4}$/,
  'congestion-threshold': /^[1-9]\d{0,4}$/,
  'lru-limit': /^\d{1,9}$/,
  'event-history': /^(on|off)$/,
  'use-readdirp': /^(yes|no)$/,
  'address-family': /^inet6?$/,
}
const FLAGS: readonly string[] = ['acl', 'selinux']

/** @throws invalid_option naming the setting */
export function glusterSettings(settings: Readonly<Record<string, string>>): GlusterSettings {
  for (const key of Object.keys(settings)) {
    if (!KEYS.includes(key)) throw bad(key, `The driver gluster has no setting ${key}; it has ${KEYS.join(', ')}`)
  }
  const [host, volume] = volumeOf(settings.volume)
  return {
    servers: [host, ...serversOf(settings.servers)],
    volume,
    directory: directoryOf(settings.directory ?? '/'),
    options: optionsOf(settings.mountOptions),
    directIo: directIoOf(settings.directIo),
  }
}

function volumeOf(text: string | undefined): [string, string] {
  if (text === undefined) throw bad('volume', 'The driver gluster needs the setting volume, e.g. server1:/volume')
  const [, host = '', volume = ''] = /^(.*):\/?([^/:]*)$/.exec(text) ?? []
  if (HOST.test(host) && VOLUME.test(volume)) return [host, volume]
  throw bad('volume', `The setting volume is ${JSON.stringify(text)}: HOST:/VOLUME is needed, e.g. server1:/volume`)
}

function serversOf(text: string | undefined): string[] {
  if (text === undefined || text === '') return []
  const servers = text.split(',').map((server) => server.trim())
  const wrong = servers.find((server) => !HOST.test(server))
  if (wrong !== undefined) {
    throw bad('servers', `The setting servers has ${JSON.stringify(wrong)}: names or addresses, separated by commas`)
  }
  if (servers.length <= MAX_SERVERS) return servers
  throw bad('servers', `The setting servers names ${servers.length} servers; ${MAX_SERVERS} are enough`)
}

function directoryOf(text: string): string {
  const parts = text.split('/').slice(1)
  const plain = parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\0\n\\]/.test(part))
  if (text === '/' || (text.startsWith('/') && plain)) return text
  throw bad(
    'directory',
    `The setting directory is ${JSON.stringify(text)}: a path inside the volume is needed, e.g. /pool, without . or ..`,
  )
}

function optionsOf(text: string | undefined): string[] {
  if (text === undefined || text === '') return []
  return text.split(',').map((option) => {
    const [key = '', value] = option.split('=', 2)
    if (value === undefined && FLAGS.includes(key)) return `--${key}`
    if (value !== undefined && OPTIONS[key]?.test(value) === true && option === `${key}=${value}`) return `--${option}`
    const known = [...FLAGS, ...Object.keys(OPTIONS).map((name) => `${name}=…`)].join(', ')
    throw bad('mountOptions', `The mount option ${JSON.stringify(option)} is not allowed; allowed: ${known}`)
  })
}

function directIoOf(text: string | undefined): string | undefined {
  if (text === undefined || ['auto', 'on', 'off'].includes(text)) return text
  throw bad('directIo', `The setting directIo is ${JSON.stringify(text)}: it can be auto, on or off`)
}

function bad(setting: string, text: string): HoldfastError {
  return new HoldfastError('invalid_option', text, { setting })
}
