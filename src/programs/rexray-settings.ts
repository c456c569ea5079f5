/** Settings of a pool that is reached by the REX-Ray command line. */
import { isAbsolute, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'

export interface RexraySettings {
  /** Name of the program; where it is, is a matter of each node. */
  readonly command: string
  /** REX-Ray's configuration file on the node; credentials stay in there. */
  readonly config: string | undefined
  readonly service: string | undefined
  /** `0.6`: positional names (0.6.0 to 0.11.4); `0.3`: `--volumename`, `--volumeid` (0.2 to 0.5). */
  readonly grammar: '0.6' | '0.3'
  /** What a volume is to Holdfast: a device that it formats and mounts, or a directory that REX-Ray mounted. */
  readonly volumes: 'device' | 'directory'
  /** Asked of new volumes, and only volumes that are so belong to the pool. */
  readonly volumeType: string | undefined
  readonly availabilityZone: string | undefined
  /** What REX-Ray makes on a new volume, where volumes are directories. */
  readonly fsType: string | undefined
  readonly unitGiB: number
  readonly maxSizeGiB: number
  /** The storage cuts longer names off. */
  readonly nameLength: number
  readonly callsPerSecond: number
  /** Calls that change something and may run at once. */
  readonly concurrency: number
  readonly timeoutSeconds: number
  readonly fence: 'none' | 'detach'
}

interface Rule {
  readonly fits: (value: string) => boolean
  readonly wants: string
}

const RULES: Readonly<Record<keyof RexraySettings, Rule>> = {
  command: pattern(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'the name of a program, without a path'),
  config: { fits: isPath, wants: 'an absolute path without . or ..' },
  service: pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'the name of a libStorage service'),
  grammar: oneOf('0.6', '0.3'),
  volumes: oneOf('device', 'directory'),
  volumeType: pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'a volume type of the service'),
  availabilityZone: pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'an availability zone of the service'),
  fsType: oneOf('ext4', 'xfs'),
  unitGiB: whole(1, 1024),
  maxSizeGiB: whole(1, 1_000_000),
  nameLength: whole(31, 255),
  callsPerSecond: whole(1, 1000),
  concurrency: whole(1, 32),
  timeoutSeconds: whole(1, 600),
  fence: oneOf('none', 'detach'),
}

/**
 * Reads the settings of a pool.
 * @throws invalid_option naming the setting
 */
export function rexraySettings(settings: Readonly<Record<string, string>>): RexraySettings {
  for (const [key, value] of Object.entries(settings)) {
    if (!isSetting(key)) {
      throw bad(key, `The driver rexray has no setting ${key}; it has ${Object.keys(RULES).join(', ')}`)
    }
    const { fits, wants } = RULES[key]
    if (!fits(value)) throw bad(key, `The setting ${key} is ${JSON.stringify(value)}: it must be ${wants}`)
  }
  checkTogether(settings)
  return {
    command: settings.command ?? 'rexray',
    config: settings.config,
    service: settings.service,
    grammar: settings.grammar === '0.3' ? '0.3' : '0.6',
    volumes: settings.volumes === 'directory' ? 'directory' : 'device',
    volumeType: settings.volumeType,
    availabilityZone: settings.availabilityZone,
    fsType: settings.fsType,
    unitGiB: Number(settings.unitGiB ?? 1),
    maxSizeGiB: Number(settings.maxSizeGiB ?? 16_384),
    nameLength: Number(settings.nameLength ?? 255),
    callsPerSecond: Number(settings.callsPerSecond ?? 2),
    concurrency: Number(settings.concurrency ?? 1),
    timeoutSeconds: Number(settings.timeoutSeconds ?? 60),
    fence: settings.fence === 'detach' ? 'detach' : 'none',
  }
}

function checkTogether(settings: Readonly<Record<string, string>>): void {
  if (settings.grammar === '0.3' && settings.volumes === 'directory') {
    throw bad('volumes', 'With grammar 0.3 the setting volumes can only be device: those versions do not tell a path')
  }
  if (settings.grammar === '0.3' && settings.service !== undefined) {
    throw bad('service', 'With grammar 0.3 there is no setting service: name the storage driver in the config file')
  }
  if (settings.fsType !== undefined && settings.volumes !== 'directory') {
    throw bad('fsType', 'The setting fsType needs volumes=directory: of a device, the volume says its filesystem')
  }
  if (Number(settings.unitGiB ?? 1) > Number(settings.maxSizeGiB ?? 16_384)) {
    throw bad('unitGiB', 'The setting unitGiB is above maxSizeGiB: no volume would fit')
  }
}

function isSetting(key: string): key is keyof RexraySettings {
  return Object.hasOwn(RULES, key)
}

function isPath(value: string): boolean {
  return isAbsolute(value) && resolve(value) === value && /^[\x21-\x7e]{2,512}$/.test(value)
}

function pattern(expression: RegExp, wants: string): Rule {
  return { fits: (value) => expression.test(value), wants }
}

function oneOf(...values: string[]): Rule {
  return { fits: (value) => values.includes(value), wants: values.join(' or ') }
}

function whole(least: number, most: number): Rule {
  const fits = (value: string) => /^\d{1,7}$/.test(value) && Number(value) >= least && Number(value) <= most
  return { fits, wants: `a whole number from ${least} to ${most}` }
}

function bad(setting: string, text: string): HoldfastError {
  return new HoldfastError('invalid_option', text, { setting })
}
