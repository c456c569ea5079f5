import type { CallContext } from '../../csi/service.ts'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { MAKING } from '../docker/resolves.ts'
import type { ControllerSettings } from './controller-config.ts'
import type { Ledger, ShownVolume } from './controller-ledger.ts'
import { type Patience, pending, whileWaited } from './controller-patience.ts'
import { isBusy } from './controller-refusals.ts'

/** DeleteVolume: answers when the volume has given its room back, or lies in the trash. */
export class Deleter {
  readonly #ledger: Ledger
  readonly #settings: ControllerSettings
  readonly #patience: Patience

  constructor(ledger: Ledger, settings: ControllerSettings, patience: Patience) {
    this.#ledger = ledger
    this.#settings = settings
    this.#patience = patience
  }

  delete(id: string, context: CallContext): Promise<void> {
    return whileWaited(this.#patience, context, (leftMs) => this.#attempt(id, leftMs))
  }

  async #attempt(id: string, leftMs: number): Promise<void> {
    const volume = await this.#ledger.volume(id)
    if (volume === undefined || volume.state === 'trash') return
    const { name, role, state } = volume
    if (!this.#ledger.roles.includes(role)) {
      throw new HoldfastError('role_not_allowed', `volume ${id} belongs to a role that this door does not act for`)
    }
    if (isLetGo(volume)) throw pending(`volume ${name} is being detached`)
    const { trashSeconds } = this.#settings
    // what was never made is not worth keeping
    const trash = MAKING.has(state) || trashSeconds === 0 ? '' : `?trash=${trashSeconds}`
    if (!(await this.#isDone(`/v1/volumes/${id}${trash}`, leftMs))) throw pending(`volume ${name} is being deleted`)
  }

  /** Whether it came to its end while it was waited for. */
  async #isDone(path: string, leftMs: number): Promise<boolean> {
    try {
      const { operation } = await this.#ledger.send<{ operation?: string }>('DELETE', path, undefined, leftMs)
      return operation === undefined
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      if (error.code === 'not_found') return true
      throw isBusy(error) ? pending(error.message) : error
    }
  }
}

/** Nobody uses it any more, and the nodes are about to say so. */
function isLetGo({ attachments }: ShownVolume): boolean {
  return attachments.length > 0 && attachments.every(({ users, state }) => users.length === 0 && state !== 'stuck')
}
