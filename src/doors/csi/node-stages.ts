import type { NodeStageVolumeRequest, NodeUnstageVolumeRequest } from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import { asHoldfastError } from '../../model/errors.ts'
import type { StagedEntry } from '../../node/journal.ts'
import type { Slot } from '../../node/slot.ts'
import type { BindMounts } from '../../programs/bind-mounts.ts'
import type { CsiSettings } from './config.ts'
import { checkMap, requiredText } from './fields.ts'
import { isAbout, type StagedBook } from './node-book.ts'
import { type Claims, userOf } from './node-claims.ts'
import type { VolumeGroups } from './node-group.ts'
import { isHarmless, mesosRepeat, type Repeat } from './node-mesos.ts'
import type { UserPaths } from './node-paths.ts'
import { samePlace, volumePlace } from './node-place.ts'
import type { VolumeTurns } from './node-turns.ts'
import type { NodeVolumes, VolumeFacts } from './node-volumes.ts'
import { checkOffered, readWish, type Wish, wishText } from './node-wish.ts'
import { READ_ONLY_CONTEXT } from './words.ts'

export interface StagesParts {
  readonly claims: Claims
  readonly volumes: NodeVolumes
  readonly book: StagedBook
  readonly paths: UserPaths
  readonly mounts: BindMounts
  readonly groups: VolumeGroups
  readonly turns: VolumeTurns
  readonly settings: CsiSettings
  readonly bootId: string
  /** Somebody should look at this. */
  readonly alarm: (alarm: string, volumeId: string, message: string) => void
}

interface Staging {
  readonly asked: string
  /** The staging path, as the kernel's table would have it. */
  readonly path: string
  readonly wish: Wish
  /** ControllerPublishVolume claimed it for reading only. */
  readonly readOnlyContext: boolean
}

/**
 * NodeStageVolume: the volume is claimed in the ledger, attached and mounted, at a place of our own; nothing is mounted
 * at the staging path, which names the user. NodeUnstageVolume takes that user off again.
 */
export class Stages {
  readonly #parts: StagesParts

  constructor(parts: StagesParts) {
    this.#parts = parts
  }

  async stage(request: NodeStageVolumeRequest, context: CallContext): Promise<void> {
    const asked = requiredText('volume_id', request.volumeId)
    const wish = readWish(request.volumeCapability)
    checkMap('publish_context', request.publishContext)
    checkMap('volume_context', request.volumeContext)
    checkMap('secrets', request.secrets)
    const { path, found } = await this.#parts.paths.look('staging_target_path', request.stagingTargetPath)
    if (found === 'file' || found === 'other') {
      throw new GrpcError('FAILED_PRECONDITION', `staging_target_path: ${path} is not a directory`)
    }
    const staging = { asked, path, wish, readOnlyContext: request.publishContext[READ_ONLY_CONTEXT] === 'true' }
    const { turns } = this.#parts
    await turns.run(this.idOf(asked, path), context.signal, () => this.#stage(staging, context))
  }

  async #stage(staging: Staging, context: CallContext): Promise<void> {
    this.#checkRepeat(staging)
    const { asked, path, wish } = staging
    const repeat = this.repeatOf(asked, path)
    const { claims } = this.#parts
    try {
      const facts = await claims.facts(asked, context, repeat)
      checkOffered(wish, facts)
      const mode = wish.reads || staging.readOnlyContext ? 'ro' : 'rw'
      await claims.bringUp({ volumeId: facts.id, path, mode }, context, repeat)
      await this.#setUp(facts, staging, mode, context)
    } catch (thrown) {
      if (!this.excuse(path, repeat, thrown)) throw thrown
    }
  }

  /** @throws ALREADY_EXISTS */
  #checkRepeat({ asked, path, wish }: Staging): void {
    const before = this.#parts.book.at(path)
    if (before === undefined || !this.isLive(path, before)) return
    if (!this.#means(asked, before))
      throw new GrpcError('ALREADY_EXISTS', `${path}: volume ${before.asked} is staged there`)
    if (before.wish === wishText(wish)) return
    throw new GrpcError('ALREADY_EXISTS', `volume ${asked} is staged at ${path} with another capability`)
  }

  /** After this it can be published, whatever becomes of this process. */
  async #setUp(facts: VolumeFacts, staging: Staging, mode: 'rw' | 'ro', { signal }: CallContext): Promise<void> {
    const { asked, path, wish } = staging
    const { volumes, mounts, book, bootId, groups } = this.#parts
    const slot = volumes.here(facts.id)
    if (slot?.path === undefined) throw new GrpcError('UNAVAILABLE', `volume ${facts.name} went away again; try again`)
    const place = await volumePlace(await mounts.all(), slot.path)
    const base = { volumeId: facts.id, asked, mode, wish: wishText(wish), bootId }
    const entry: StagedEntry = { ...base, ...(place === undefined ? {} : { place }) }
    if (JSON.stringify(book.at(path)) !== JSON.stringify(entry)) book.write(path, entry)
    if (wish.group === undefined) return
    await groups.ensure(slot, { gid: wish.group, path: slot.path, shared: facts.access === 'many-writers' }, signal)
  }

  async unstage(request: NodeUnstageVolumeRequest, context: CallContext): Promise<void> {
    const asked = requiredText('volume_id', request.volumeId)
    const { path } = await this.#parts.paths.look('staging_target_path', request.stagingTargetPath)
    const { turns } = this.#parts
    await turns.run(this.idOf(asked, path), context.signal, () => this.#unstage(asked, path, context))
  }

  async #unstage(asked: string, path: string, context: CallContext): Promise<void> {
    const { book, claims, volumes, groups } = this.#parts
    const entry = book.at(path)
    const staged = entry !== undefined && this.#means(asked, entry) ? entry : undefined
    const slot = volumes.here(staged?.volumeId ?? asked)
    if (slot !== undefined) {
      await this.#checkUnpublished(slot, path)
      await groups.end(slot.volumeId)
      await claims.letGo(slot.volumeId, path, context)
    }
    if (staged !== undefined) book.write(path, undefined)
  }

  /** A mount that is left at a target would keep the device, and a device there would outlive its volume. */
  async #checkUnpublished(slot: Slot, path: string): Promise<void> {
    const { mounts, book, paths } = this.#parts
    const isOther = ([at, entry]: [string, StagedEntry]) =>
      at !== path && entry.volumeId === slot.volumeId && this.isLive(at, entry)
    if (slot.path === undefined || [...book.all].some(isOther)) return
    const all = await mounts.all()
    const place = await volumePlace(all, slot.path)
    const [left] = await paths.chosen(all.filter((each) => samePlace(each, place)))
    if (left === undefined) return
    throw new GrpcError('FAILED_PRECONDITION', `volume ${slot.volumeId} is still published at ${left.target}`)
  }

  /** Whether the volume of an entry is asked for, by its id or name. */
  #means(asked: string, entry: StagedEntry): boolean {
    return isAbout(entry, asked) || this.#parts.volumes.here(asked)?.volumeId === entry.volumeId
  }

  /** What was staged at a path, under this boot of the machine or answered for an earlier one. */
  staged(asked: string, path: string): StagedEntry | undefined {
    const entry = this.#parts.book.at(path)
    if (entry === undefined || !this.#means(asked, entry)) return undefined
    return entry.bootId === this.#parts.bootId || entry.moved !== undefined ? entry : undefined
  }

  /** Whether what was staged at a path is there. */
  isLive(path: string, entry: StagedEntry): boolean {
    const user = userOf(path)
    const users = this.#parts.volumes.here(entry.volumeId)?.entry?.users ?? []
    return entry.bootId === this.#parts.bootId && users.some((each) => each.door === user.door && each.id === user.id)
  }

  /** One key for all calls about a volume, whatever they call it. */
  idOf(asked: string, path?: string): string {
    const { book, volumes } = this.#parts
    const entry = path === undefined ? undefined : book.at(path)
    if (entry !== undefined && this.#means(asked, entry)) return entry.volumeId
    return volumes.here(asked)?.volumeId ?? book.of(asked)?.volumeId ?? asked
  }

  repeatOf(asked: string, path: string): Repeat | undefined {
    const { settings, book, bootId } = this.#parts
    return settings.mesos ? mesosRepeat(asked, path, book.at(path), bootId) : undefined
  }

  /** Whether a failure is to be answered as node-mesos.ts says; then it is recorded, and an alarm. */
  excuse(path: string, repeat: Repeat | undefined, thrown: unknown): boolean {
    const { message } = asHoldfastError(thrown)
    if (repeat === undefined || !isHarmless(repeat, asHoldfastError(thrown))) return false
    const { before } = repeat
    this.#parts.book.write(path, { ...before, moved: message.slice(0, 500) })
    const text = `an empty directory is shown to Mesos at ${path}: ${message}`
    this.#parts.alarm('csi.volume-moved', before.volumeId, text.slice(0, 1000))
    return true
  }
}
