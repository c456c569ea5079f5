/**
 * What Marathon refuses in an app with volumes, before Mesos ever hears of it (Marathon 1.11: DVDIProvider.scala,
 * CSIProvider.scala, AppValidation.scala). The sentences are not Marathon's; what they refuse is.
 */
import {
  type AppVolume,
  csiOptions,
  type ExternalVolume,
  type MarathonApp,
  type PersistentVolume,
  volumesOf,
} from './marathon-app.ts'

export interface Violation {
  readonly path: string
  readonly error: string
}

const LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/
const OPTION_KEY = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\/[A-Za-z0-9](?:[-A-Za-z0-9._:]*[A-Za-z0-9])?$/

/** @param others the apps that are there already: names of volumes are unique over all of them */
export function violations(app: MarathonApp, others: readonly MarathonApp[] = []): Violation[] {
  const found: Violation[] = []
  const say = (path: string, error: string) => void found.push({ path, error })
  volumesOf(app).forEach((volume, index) => {
    const path = `/container/volumes(${index})`
    if (volume.external !== undefined) external(app, volume, volume.external, path, say)
    else if (volume.persistent !== undefined) persistent(volume, volume.persistent, path, say)
  })
  wholeApp(app, say)
  uniqueNames(app, others, say)
  return found
}

type Say = (path: string, error: string) => void

function external(app: MarathonApp, volume: AppVolume, info: ExternalVolume, path: string, say: Say): void {
  if (info.name === '') say(`${path}/external/name`, 'must not be empty')
  if (info.provider === 'dvdi') dvdi(app, volume, info, path, say)
  else if (info.provider === 'csi') csi(volume, info, path, say)
  else say(`${path}/external/provider`, `${info.provider} is not known; there are dvdi and csi`)
}

function dvdi(app: MarathonApp, volume: AppVolume, info: ExternalVolume, path: string, say: Say): void {
  const options = info.options ?? {}
  const at = `${path}/external/options`
  const driver = options['dvdi/driver']
  if (typeof driver !== 'string') say(at, 'dvdi/driver must be given')
  else if (!LABEL.test(driver)) say(`${at}/"dvdi/driver"`, 'must be lower-case letters, digits and dashes')
  for (const [key, value] of Object.entries(options)) {
    if (!OPTION_KEY.test(key)) say(`${at}/"${key}"`, 'is no name of an option')
    if (typeof value !== 'string') say(`${at}/"${key}"`, 'must be a string')
  }
  if (driver === 'rexray') rexray(options, at, say)
  if (app.container?.type === 'DOCKER') {
    if (info.size !== undefined) say(`${path}/external/size`, 'must be undefined for Docker containers')
    const extra = Object.keys(options).filter((key) => key !== 'dvdi/driver')
    if (extra.length > 0) say(at, `only dvdi/driver is allowed for Docker containers, not ${extra.join(', ')}`)
    return
  }
  if (volume.mode === 'RO') say(`${path}/mode`, 'must be RW')
  if (volume.containerPath === '.' || volume.containerPath === '..') say(`${path}/containerPath`, 'must not be . or ..')
}

function rexray(options: Readonly<Record<string, unknown>>, at: string, say: Say): void {
  const rule = (key: string, holds: (text: string) => boolean, what: string) => {
    const value = options[key]
    if (typeof value === 'string' && !holds(value)) say(`${at}/"${key}"`, what)
  }
  rule('dvdi/volumetype', (text) => LABEL.test(text), 'must be a label')
  rule('dvdi/newfstype', (text) => LABEL.test(text), 'must be a label')
  rule('dvdi/iops', (text) => /^[1-9]\d*$/.test(text), 'must be a positive number')
  rule('dvdi/overwritefs', (text) => text === 'true' || text === 'false', 'must be true or false')
}

function csi(volume: AppVolume, info: ExternalVolume, path: string, say: Say): void {
  const options = csiOptions(info)
  if (options === undefined) {
    say(`${path}/external/options`, 'pluginName and capability must be given')
    return
  }
  const { accessType, accessMode, fsType } = options.capability
  if (accessType === 'mount' && fsType === undefined) say(`${path}/external/options/capability`, 'fsType must be given')
  if (accessMode.endsWith('READER_ONLY') && volume.mode !== 'RO') say(`${path}/mode`, 'must be RO for a read-only mode')
}

function persistent(volume: AppVolume, info: PersistentVolume, path: string, say: Say): void {
  const type = typeOf(info)
  if (volume.mode !== 'RW') say(`${path}/mode`, 'must be RW')
  if (volume.containerPath.includes('/')) say(`${path}/containerPath`, 'must not contain a slash')
  if (info.maxSize !== undefined && type !== 'mount') say(`${path}/persistent/maxSize`, 'is for type mount only')
  if (!(info.size > 0)) say(`${path}/persistent/size`, 'must be more than 0')
}

/** A volume with a profile is a whole disk unless it says otherwise. */
export function typeOf(info: PersistentVolume): 'root' | 'path' | 'mount' {
  return info.type ?? (info.profileName === undefined ? 'root' : 'mount')
}

function wholeApp(app: MarathonApp, say: Say): void {
  const volumes = volumesOf(app)
  if ((app.instances ?? 1) > 1 && volumes.some(needsOneInstance)) {
    say('/instances', `got ${app.instances}, expected 1 or less while such volumes are defined`)
  }
  const hasVolumes = volumes.some(({ external, persistent }) => external !== undefined || persistent !== undefined)
  const { minimumHealthCapacity = 0.5, maximumOverCapacity = 0 } = app.upgradeStrategy ?? {}
  if (!hasVolumes) return
  if (maximumOverCapacity !== 0) say('/upgradeStrategy/maximumOverCapacity', 'must be 0')
  if (minimumHealthCapacity < 0 || minimumHealthCapacity > 1) {
    say('/upgradeStrategy/minimumHealthCapacity', 'must be between 0 and 1')
  }
  const isResident = volumes.some((volume) => volume.persistent !== undefined)
  if (isResident && app.unreachableStrategy !== undefined && app.unreachableStrategy !== 'disabled') {
    say('/unreachableStrategy', 'must be disabled for apps with persistent volumes')
  }
}

function needsOneInstance({ external, mode }: AppVolume): boolean {
  if (external === undefined) return false
  if (external.provider === 'dvdi') return true
  const accessMode = csiOptions(external)?.capability.accessMode ?? ''
  return accessMode.startsWith('SINGLE_NODE') || (accessMode === 'MULTI_NODE_SINGLE_WRITER' && mode !== 'RO')
}

function uniqueNames(app: MarathonApp, others: readonly MarathonApp[], say: Say): void {
  const mine = dvdiNames(app)
  const twice = mine.filter(({ name }, index) => mine.findIndex((each) => each.name === name) !== index)
  for (const { name } of twice) say('/container/volumes', `volume name ${name} is used twice`)
  for (const other of others) {
    if (other.id === app.id) continue
    for (const theirs of dvdiNames(other)) {
      const same = mine.find(({ name }) => name === theirs.name)
      if (same === undefined || (same.shared && theirs.shared)) continue
      say('/container/volumes', `volume name ${same.name} conflicts with the volume of the same name in ${other.id}`)
    }
  }
}

/** The names that are counted, whatever the driver. */
function dvdiNames(app: MarathonApp): { name: string; shared: boolean }[] {
  return volumesOf(app).flatMap(({ external }) =>
    external?.provider === 'dvdi' ? [{ name: external.name, shared: external.shared === true }] : [],
  )
}
