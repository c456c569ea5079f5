import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import type { DoorSettings } from './config.ts'
import type { Creator } from './create.ts'
import type { LocalVolumes } from './local.ts'
import { type Mounts, userOf } from './mounts.ts'
import { badRequest, type PluginCall } from './plugin-server.ts'
import { showUnheard, showVolume } from './show.ts'
import type { Volumes } from './volumes.ts'

export interface CallParts {
  readonly volumes: Volumes
  readonly local: LocalVolumes
  readonly mounts: Mounts
  readonly creator: Creator
  readonly settings: DoorSettings
  /** Aborts when the door closes. */
  readonly closing: AbortSignal
}

type Body = Readonly<Record<string, unknown>>

/** The calls of the volume plugin protocol, by path. */
export function pluginCalls(parts: CallParts): ReadonlyMap<string, PluginCall> {
  const { creator, mounts, closing } = parts
  return new Map<string, PluginCall>([
    ['/Plugin.Activate', async () => ({ Implements: ['VolumeDriver'] })],
    // volumes are the same on every node: Swarm asks for them once
    ['/VolumeDriver.Capabilities', async () => ({ Capabilities: { Scope: 'global' } })],
    [
      '/VolumeDriver.Create',
      async (body, gone) => {
        await creator.create(nameOf(body), optionsOf(body), AbortSignal.any([gone, closing]))
        return { Err: '' }
      },
    ],
    [
      '/VolumeDriver.Remove',
      async (body) => {
        await remove(parts, nameOf(body))
        return { Err: '' }
      },
    ],
    [
      '/VolumeDriver.Mount',
      async (body, gone) => ({ Mountpoint: await mounts.mount(nameOf(body), idOf(body), gone), Err: '' }),
    ],
    [
      '/VolumeDriver.Unmount',
      async (body) => {
        await mounts.unmount(nameOf(body), idOf(body))
        return { Err: '' }
      },
    ],
    ['/VolumeDriver.Path', async (body) => ({ Mountpoint: await pathOf(parts, nameOf(body)), Err: '' })],
    ['/VolumeDriver.Get', async (body) => ({ Volume: await show(parts, nameOf(body)), Err: '' })],
    ['/VolumeDriver.List', async () => ({ Volumes: await list(parts), Err: '' })],
  ])
}

/** What is gone already is a success: Docker repeats a Remove that was not answered. */
async function remove({ volumes, settings }: CallParts, name: string): Promise<void> {
  const volume = await volumes.named(name)
  if (volume === undefined || volume.state === 'deleting') return
  if (!settings.roles.includes(volume.role)) {
    throw new HoldfastError('role_not_allowed', `volume ${name} belongs to another role`)
  }
  await volumes.delete(volume.id, settings.trashSeconds)
}

/** Empty while it is not mounted here. */
async function pathOf({ volumes, local }: CallParts, name: string): Promise<string> {
  const here = local.mountedForDocker(name)
  if (here !== undefined) return here.path
  const volume = await volumes.need(name)
  return local.mountpoint(volume.id) ?? ''
}

/** While the controller is away, a volume that is mounted here for Docker is shown from what this node knows. */
async function show({ volumes, local }: CallParts, name: string): Promise<object> {
  try {
    const volume = await volumes.need(name)
    return showVolume(volume, local.mountpoint(volume.id))
  } catch (thrown) {
    const here = asHoldfastError(thrown).code === 'unreachable' ? local.mountedForDocker(name) : undefined
    if (here === undefined) throw thrown
    return showUnheard(name, here.id, here.path)
  }
}

async function list({ volumes, local }: CallParts): Promise<object[]> {
  const all = await volumes.all()
  return all.map(({ id, name }) => ({ Name: name, Mountpoint: local.mountpoint(id) ?? '' }))
}

function nameOf(body: Body): string {
  const { Name: name } = body
  if (Object.keys(body).length === 0) {
    throw badRequest('the call came without its content, as Docker repeats one whose connection broke; try again')
  }
  if (typeof name !== 'string' || name === '') throw badRequest('Name: give the name of the volume')
  return name
}

/** Absent in Docker before 1.12 and in dvdcli. */
function idOf(body: Body): string {
  const { ID: id = '' } = body
  if (typeof id !== 'string') throw badRequest('ID: the mount ID must be a text')
  return userOf(id)
}

/** dvdcli 0.1 sends null for no options. */
function optionsOf(body: Body): Record<string, string> {
  const given = body.Opts ?? {}
  if (typeof given !== 'object' || Array.isArray(given)) throw badRequest('Opts: options must be a JSON object')
  const entries = Object.entries(given as object)
  const other = entries.find(([, value]) => typeof value !== 'string')
  if (other !== undefined) throw badRequest(`Opts.${other[0].slice(0, 80)}: the value of an option must be a text`)
  return Object.fromEntries(entries) as Record<string, string>
}
