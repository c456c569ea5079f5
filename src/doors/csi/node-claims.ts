import type { CallContext } from '../../csi/service.ts'
import type { HoldfastError } from '../../model/errors.ts'
import type { NodeDaemon } from '../../node/daemon.ts'
import { digest } from '../../runtime/secrets.ts'
import { patiently } from '../docker/patience.ts'
import { resolvesIn } from '../docker/resolves.ts'
import type { CsiSettings } from './config.ts'
import { isHarmless, RECOVERY_MS, type Repeat } from './node-mesos.ts'
import type { NodeVolumes, VolumeFacts } from './node-volumes.ts'

/** Time that is left of a caller's to tell it the reason, ms. */
const TELL_MS = 1500

export interface ClaimsParts {
  readonly node: Pick<NodeDaemon, 'mount' | 'unmount'>
  readonly volumes: NodeVolumes
  readonly settings: CsiSettings
  /** Aborts when the door closes. */
  readonly closing: AbortSignal
}

export interface VolumeUser {
  readonly volumeId: string
  /** The staging path. */
  readonly path: string
  readonly mode: 'rw' | 'ro'
}

/** Asks for volumes, and waits for what resolves by itself as long as the caller does. */
export class Claims {
  readonly #parts: ClaimsParts

  constructor(parts: ClaimsParts) {
    this.#parts = parts
  }

  /** @throws not_found; unreachable when the controller stays away */
  facts(asked: string, context: CallContext, repeat?: Repeat): Promise<VolumeFacts> {
    return patiently(this.#patience(context, repeat), () => this.#parts.volumes.need(asked))
  }

  /**
   * Has the volume here for the user of a staging path, as it may be already.
   * @returns its mount point or device
   */
  bringUp({ volumeId, path, mode }: VolumeUser, context: CallContext, repeat?: Repeat): Promise<string> {
    const { node, settings } = this.#parts
    const patience = this.#patience(context, repeat)
    const waits = async (error: HoldfastError) => {
      if (repeat !== undefined && !repeat.rebooted && isHarmless(repeat, error)) return 0
      return error.code === 'held_elsewhere' ? this.#heldFor(volumeId, error) : resolvesIn(error)
    }
    const request = { volume: volumeId, user: userOf(path), mode, roles: settings.roles }
    return patiently({ ...patience, resolvesIn: waits }, () => node.mount(request))
  }

  async letGo(volumeId: string, path: string, context: CallContext): Promise<void> {
    await patiently(this.#patience(context), () => this.#parts.node.unmount(volumeId, userOf(path)))
  }

  #patience({ signal, deadline }: CallContext, repeat?: Repeat) {
    const { settings, closing } = this.#parts
    const left = deadline === undefined ? settings.answerMs : Math.max(0, deadline - Date.now() - TELL_MS)
    // the agent's recovery waits, for a volume that nobody uses
    const forMs = repeat?.rebooted === true ? Math.min(left, RECOVERY_MS) : left
    return { forMs, signal: AbortSignal.any([signal, closing]), resolvesIn }
  }

  /** Operations, and users that are on their way out, let go by themselves; a user who works there does not. */
  async #heldFor(volumeId: string, error: HoldfastError): Promise<number> {
    const facts = await this.#parts.volumes.need(volumeId).catch(() => undefined)
    const holder = facts?.attachments?.find((each) => each.id === error.data.attachment)
    const users = holder?.users.filter((user) => user.door !== 'operation') ?? []
    return users.length === 0 ? Number.POSITIVE_INFINITY : 0
  }
}

/** As a user of the volume a staging path is seen by everybody, so it is told as it is where it can be. */
export function userOf(path: string): { door: string; id: string } {
  return { door: 'csi', id: /^[\x21-\x7e]{1,256}$/.test(path) ? path : `sha256:${digest(path)}` }
}
