import { existsSync, readFileSync } from 'node:fs'
import type { PluginDirectories } from '../../docker-plugin/discovery.ts'
import { nearest } from '../../model/near.ts'
import { quote } from '../../model/units.ts'
import { usage } from './failure.ts'

const FILE = '/etc/holdfast/dvdcli.json'

/** What an operator decides for a machine; the environment is stronger than the file. */
export interface Settings {
  /** The driver of a command that names none; empty where one has to be named. */
  readonly driver: string
  /** Whether `mount` makes a volume that is not there. */
  readonly implicitCreate: boolean
  /** How long a command takes at most, ms; by command if not given. */
  readonly timeoutMs: number | undefined
  /** How long a plugin that is not there is waited for, ms. */
  readonly waitMs: number
  /** What a driver says of a volume that is not there, where its words are not known here. */
  readonly absentWords: readonly string[]
  readonly directories: PluginDirectories
  /** Where the settings are, for a person. */
  readonly file: string
}

/** The file's keys, what each must be, and the variable of the environment that is stronger. */
const KEYS = {
  driver: { variable: 'HOLDFAST_DVDCLI_DRIVER', rule: 'a text' },
  implicitCreate: { variable: 'HOLDFAST_DVDCLI_IMPLICIT_CREATE', rule: 'true or false' },
  timeoutSeconds: { variable: 'HOLDFAST_DVDCLI_TIMEOUT_SECONDS', rule: 'a number of seconds above 0' },
  waitSeconds: { variable: 'HOLDFAST_DVDCLI_WAIT_SECONDS', rule: 'a number of seconds, 0 or more' },
  absentWords: { variable: undefined, rule: 'a list of texts' },
} as const

type Key = keyof typeof KEYS
type Environment = Readonly<Record<string, string | undefined>>
type Values = Readonly<Partial<Record<Key, unknown>>>

/** @throws Failure with exit code 2 for a file that is not understood: a policy must not get lost */
export function readSettings(env: Environment): Settings {
  const file = nonEmpty(env.HOLDFAST_DVDCLI_CONFIG)
  const values = { ...fromFile(file ?? FILE, file !== undefined), ...fromEnvironment(env) }
  return {
    driver: (values.driver as string | undefined) ?? '',
    implicitCreate: (values.implicitCreate as boolean | undefined) ?? true,
    timeoutMs: values.timeoutSeconds === undefined ? undefined : (values.timeoutSeconds as number) * 1000,
    waitMs: ((values.waitSeconds as number | undefined) ?? 15) * 1000,
    absentWords: (values.absentWords as string[] | undefined) ?? [],
    directories: {
      sockets: nonEmpty(env.HOLDFAST_PLUGIN_SOCKETS_DIR) ?? '/run/docker/plugins',
      specs: (nonEmpty(env.HOLDFAST_PLUGIN_SPECS_DIRS) ?? '/etc/docker/plugins:/usr/lib/docker/plugins').split(':'),
    },
    file: file ?? FILE,
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}

/** @param mustExist somebody has named the file */
function fromFile(file: string, mustExist: boolean): Values {
  if (!mustExist && !existsSync(file)) return {}
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (thrown) {
    throw usage(`${file} cannot be read: ${(thrown as Error).message}`)
  }
  let values: unknown
  try {
    values = JSON.parse(text)
  } catch (thrown) {
    throw usage(`${file} is not JSON: ${(thrown as Error).message}`)
  }
  if (values === null || typeof values !== 'object' || Array.isArray(values)) {
    throw usage(`${file}: write a JSON object, such as {"implicitCreate": false}`)
  }
  for (const [key, value] of Object.entries(values)) checkValue(key, value, file)
  return values
}

function checkValue(key: string, value: unknown, file: string): void {
  if (!Object.hasOwn(KEYS, key)) {
    const near = nearest(key, Object.keys(KEYS))
    const hint = near === undefined ? `there are ${Object.keys(KEYS).join(', ')}` : `did you mean ${quote(near)}?`
    throw usage(`${file}: there is no setting ${quote(key)}; ${hint}`)
  }
  if (!fits(key as Key, value)) throw usage(`${file}: ${quote(key)} must be ${KEYS[key as Key].rule}`)
}

function fits(key: Key, value: unknown): boolean {
  switch (key) {
    case 'driver':
      return typeof value === 'string'
    case 'implicitCreate':
      return typeof value === 'boolean'
    case 'timeoutSeconds':
      // what a timer can hold
      return typeof value === 'number' && value > 0 && value <= 86_400
    case 'waitSeconds':
      return typeof value === 'number' && value >= 0 && value <= 86_400
    case 'absentWords':
      return Array.isArray(value) && value.every((each) => typeof each === 'string' && each !== '')
  }
}

function fromEnvironment(env: Environment): Values {
  const found: Partial<Record<Key, unknown>> = {}
  for (const [key, { variable, rule }] of Object.entries(KEYS) as [Key, (typeof KEYS)[Key]][]) {
    const text = variable === undefined ? undefined : nonEmpty(env[variable])
    if (text === undefined) continue
    const value = key === 'driver' ? text : parsed(text)
    if (!fits(key, value)) throw usage(`${variable}=${quote(text)}: it must be ${rule}`)
    found[key] = value
  }
  return found
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
