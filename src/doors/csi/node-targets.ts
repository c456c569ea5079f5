import type { NodePublishVolumeRequest, NodeUnpublishVolumeRequest } from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import type { StagedEntry } from '../../node/journal.ts'
import type { BindMounts } from '../../programs/bind-mounts.ts'
import type { MountedAt } from '../../programs/mount-table.ts'
import type { CsiSettings } from './config.ts'
import { checkMap, requiredText } from './fields.ts'
import type { Claims } from './node-claims.ts'
import { isMesosPath, placeholderName } from './node-mesos.ts'
import type { Occupants } from './node-occupants.ts'
import type { UserPath, UserPaths } from './node-paths.ts'
import { type Place, samePlace } from './node-place.ts'
import type { Stages } from './node-stages.ts'
import { makeTarget, removeTarget } from './node-target-files.ts'
import type { VolumeTurns } from './node-turns.ts'
import type { NodeVolumes } from './node-volumes.ts'
import { chosenOptions, optionsOf, readWish, type Wish } from './node-wish.ts'

export interface TargetsParts {
  readonly stages: Stages
  readonly claims: Claims
  readonly volumes: NodeVolumes
  readonly occupants: Occupants
  readonly paths: UserPaths
  readonly mounts: BindMounts
  readonly turns: VolumeTurns
  readonly settings: CsiSettings
}

interface Publication {
  readonly asked: string
  readonly target: UserPath
  readonly staging: string
  readonly wish: Wish
  readonly readOnly: boolean
}

/** NodePublishVolume: a bind mount of the volume's mount point, or of its device, at the target; and back. */
export class Targets {
  readonly #parts: TargetsParts

  constructor(parts: TargetsParts) {
    this.#parts = parts
  }

  async publish(request: NodePublishVolumeRequest, context: CallContext): Promise<void> {
    const { turns, stages } = this.#parts
    const publication = await this.#read(request)
    const key = stages.idOf(publication.asked, publication.staging)
    await turns.run(key, context.signal, () => this.#publish(publication, context))
  }

  async #read(request: NodePublishVolumeRequest): Promise<Publication> {
    const { paths } = this.#parts
    const asked = requiredText('volume_id', request.volumeId)
    const wish = readWish(request.volumeCapability)
    checkMap('publish_context', request.publishContext)
    checkMap('volume_context', request.volumeContext)
    checkMap('secrets', request.secrets)
    const target = await paths.look('target_path', request.targetPath)
    if (request.stagingTargetPath === '') {
      const why = 'missing; a volume is staged before it is published'
      throw new GrpcError('FAILED_PRECONDITION', `staging_target_path: ${why}`)
    }
    const staging = (await paths.look('staging_target_path', request.stagingTargetPath)).path
    return { asked, target, staging, wish, readOnly: request.readonly || wish.readOnly }
  }

  async #publish(publication: Publication, context: CallContext): Promise<void> {
    const { asked, staging } = publication
    const { stages, claims } = this.#parts
    const entry = stages.staged(asked, staging)
    if (entry === undefined) {
      const { name } = await claims.facts(asked, context)
      throw new GrpcError('FAILED_PRECONDITION', `volume ${name} is not staged at ${staging}`)
    }
    const { volumeId, mode } = entry
    const repeat = stages.repeatOf(asked, staging)
    if (entry.moved === undefined) {
      try {
        const source = await claims.bringUp({ volumeId, path: staging, mode }, context, repeat)
        return await this.#atTarget(publication, context, () => this.#show(entry, source, publication))
      } catch (thrown) {
        if (thrown instanceof GrpcError || !stages.excuse(staging, repeat, thrown)) throw thrown
      }
    }
    await this.#atTarget(publication, context, () => this.#showNothing(entry, publication))
  }

  #atTarget(target: Pick<Publication, 'target'>, { signal }: CallContext, work: () => Promise<void>): Promise<void> {
    return this.#parts.turns.run(`at ${target.target.path}`, signal, work)
  }

  async #show(entry: StagedEntry, source: string, publication: Publication): Promise<void> {
    const { wish, target } = publication
    const { mounts, occupants } = this.#parts
    this.#checkWish(entry, publication)
    const there = await occupants.at(target.path, entry.volumeId)
    if (there.kind === 'other') throw taken(target.path, there)
    if (there.kind === 'placeholder') await mounts.unmount(target.path)
    const place = await occupants.now(source)
    if (place === undefined) throw new GrpcError('UNAVAILABLE', `volume ${entry.asked} went away again; try again`)
    if (there.kind === 'volume') {
      if (samePlace(there.mount, place)) return this.#again(there.mount, publication)
      // left from when the volume was here before
      await mounts.unmount(target.path)
    }
    if (wish.access === 'SINGLE_NODE_SINGLE_WRITER') await this.#checkSingle(place, target.path)
    await makeTarget(target, wish.kind === 'block' ? 'file' : 'directory')
    await this.#bind(source, place, publication)
  }

  #checkWish(entry: StagedEntry, { wish, readOnly, asked }: Publication): void {
    const staged = JSON.parse(entry.wish) as Pick<Wish, 'kind' | 'group'>
    const refused = (why: string) => new GrpcError('FAILED_PRECONDITION', `volume ${asked} ${why}`)
    if (staged.kind !== wish.kind) throw refused(`was staged to be used as ${staged.kind}, not as ${wish.kind}`)
    if (wish.group !== undefined && wish.group !== staged.group) throw refused(`was not staged for group ${wish.group}`)
    const mode = this.#parts.volumes.here(entry.volumeId)?.entry?.mode
    if (wish.kind === 'block' && readOnly && mode !== 'ro') {
      throw refused('is attached for writing, and its device can be written to at any path: stage it for reading only')
    }
  }

  async #bind(source: string, place: Place, { target, wish, readOnly: wanted }: Publication): Promise<void> {
    const { mounts, occupants } = this.#parts
    // a device can be written to wherever it is seen: for it that is settled when it is attached
    const readOnly = wanted && wish.kind === 'mount'
    try {
      await mounts.bind(source, target.path, { readOnly, flags: wish.flags })
      const made = (await occupants.showing(place)).find((each) => each.target === target.path)
      if (made !== undefined && (!readOnly || made.readOnly)) return
      if (made !== undefined) await mounts.unmount(target.path)
      throw new GrpcError('INTERNAL', `the mount at ${target.path} is not what was asked for`)
    } catch (thrown) {
      if (target.found === 'nothing') await removeTarget(target.path).catch(() => undefined)
      throw thrown
    }
  }

  /** It is there already: as it was wanted then. @throws ALREADY_EXISTS when that is not how it is wanted now */
  async #again(mount: MountedAt, { asked, target, wish, readOnly }: Publication): Promise<void> {
    if (wish.kind === 'block') return
    const conflict = (what: string) =>
      new GrpcError('ALREADY_EXISTS', `volume ${asked} is published at ${target.path} ${what}`)
    if (optionsOf(wish.flags).join() !== chosenOptions(mount.options).join()) {
      throw conflict(`with other flags (${mount.options.join(', ')})`)
    }
    const isReadOnly = mount.options.includes('ro')
    if (isReadOnly === readOnly) return
    // one directory serves all containers of the agent, which makes it read-only for those that want it so
    if (!this.#parts.settings.mesos || !isMesosPath(asked, target.path, 'target')) {
      throw conflict(isReadOnly ? 'read-only' : 'for writing')
    }
    if (isReadOnly) await this.#parts.mounts.makeWritable(target.path, wish.flags)
  }

  async #checkSingle(place: Place, path: string): Promise<void> {
    const { occupants, paths } = this.#parts
    const shown = await paths.chosen(await occupants.showing(place))
    const other = shown.find((each) => each.target !== path)
    if (other === undefined) return
    throw new GrpcError('FAILED_PRECONDITION', `the volume has a single writer, and is published at ${other.target}`)
  }

  /** See node-mesos.ts. */
  async #showNothing(entry: StagedEntry, { target }: Publication): Promise<void> {
    const { mounts, occupants } = this.#parts
    const there = await occupants.at(target.path, entry.volumeId)
    if (there.kind === 'other') throw taken(target.path, there)
    if (there.kind === 'placeholder') return
    if (there.kind === 'volume') await mounts.unmount(target.path)
    await makeTarget(target, 'directory')
    await mounts.placeholder(placeholderName(entry.volumeId), target.path)
  }

  async unpublish(request: NodeUnpublishVolumeRequest, context: CallContext): Promise<void> {
    const { paths, turns, stages } = this.#parts
    const asked = requiredText('volume_id', request.volumeId)
    const target = await paths.look('target_path', request.targetPath)
    const volumeId = stages.idOf(asked)
    await turns.run(volumeId, context.signal, () =>
      this.#atTarget({ target }, context, () => this.#unpublish(volumeId, target.path)),
    )
  }

  async #unpublish(volumeId: string, path: string): Promise<void> {
    const { mounts, occupants } = this.#parts
    // one mount may lie over another
    for (;;) {
      const there = await occupants.at(path, volumeId)
      if (there.kind === 'nothing') break
      if (there.kind === 'other') throw new GrpcError('FAILED_PRECONDITION', `target_path ${path}: ${there.what}`)
      await mounts.unmount(path)
    }
    await removeTarget(path)
  }
}

function taken(path: string, { volume, what }: { volume: string | undefined; what: string }): GrpcError {
  return new GrpcError(volume === undefined ? 'FAILED_PRECONDITION' : 'ALREADY_EXISTS', `target_path ${path}: ${what}`)
}
