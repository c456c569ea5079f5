import type {
  ControllerPublishVolumeRequest,
  ControllerUnpublishVolumeRequest,
} from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import { asHoldfastError } from '../../model/errors.ts'
import { unmet } from './controller-capabilities.ts'
import type { Ledger, ShownAttachment, ShownVolume } from './controller-ledger.ts'
import { type Patience, pending, whileWaited } from './controller-patience.ts'
import { foreignContext } from './controller-show.ts'
import { badField, checkMap, requiredText } from './fields.ts'
import { VolumeTurns } from './node-turns.ts'
import { readWish, type Wish } from './node-wish.ts'
import { READ_ONLY_CONTEXT } from './words.ts'

/** What the ids of our users begin with; the rest says for what a volume was published. */
const USERS = 'csi/'

interface Claim {
  readonly nodeId: string
  readonly wish: Wish
  readonly readOnly: boolean
  /** Id of the user that stands for it in the ledger: the same for the same request. */
  readonly user: string
}

/** ControllerPublishVolume and its reverse: a claim in the ledger, which the node follows by itself. */
export class Publisher {
  readonly #ledger: Ledger
  readonly #patience: Patience
  readonly #turns = new VolumeTurns()

  constructor(ledger: Ledger, patience: Patience) {
    this.#ledger = ledger
    this.#patience = patience
  }

  async publish(request: ControllerPublishVolumeRequest, context: CallContext): Promise<Record<string, string>> {
    const volumeId = requiredText('volume_id', request.volumeId)
    const claim = readClaim(request)
    return this.#turns.run(volumeId, context.signal, () =>
      whileWaited(this.#patience, context, async () => {
        const volume = await this.#ledger.needVolume(volumeId)
        const foreign = foreignContext(volume, request.volumeContext)
        if (foreign !== undefined) throw badField('volume_context', foreign)
        const why = unmet([claim.wish], volume)
        if (why !== undefined) throw badField('volume_capability', why)
        if (!isPublished(volume, claim)) await this.#claim(volume, claim)
        return claim.readOnly ? { [READ_ONLY_CONTEXT]: 'true' } : {}
      }),
    )
  }

  async #claim({ id, name, state }: ShownVolume, { nodeId, readOnly, user }: Claim): Promise<void> {
    try {
      const body = { volume: id, node: nodeId, user: { id: user }, mode: readOnly ? 'ro' : 'rw' }
      await this.#ledger.send('POST', '/v1/attachments', body)
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      // the node that has it is about to say that it has let it go
      if (error.code === 'held_elsewhere' && error.data.state === 'unmounting') {
        throw pending(`volume ${name} is being detached from node ${error.data.node}`)
      }
      if (error.code === 'held_elsewhere' || error.code === 'awaiting_proof') throw error
      throw error.code === 'wrong_state' && state === 'missing' ? noLonger(name) : error
    }
  }

  async unpublish(request: ControllerUnpublishVolumeRequest, context: CallContext): Promise<void> {
    const volumeId = requiredText('volume_id', request.volumeId)
    const { nodeId } = request
    return this.#turns.run(volumeId, context.signal, () =>
      whileWaited(this.#patience, context, async (leftMs) => {
        const volume = await this.#ledger.volume(volumeId)
        if (volume === undefined || !this.#ledger.roles.includes(volume.role)) return
        const there = volume.attachments.filter((each) => nodeId === '' || isOn(each, nodeId))
        const going = await Promise.all(there.map((each) => this.#release(each, leftMs)))
        const left = going.find((each) => each !== undefined)
        if (left !== undefined) throw pending(`volume ${volume.name} ${left}`)
      }),
    )
  }

  /** @returns what there is to wait for */
  async #release(attachment: ShownAttachment, leftMs: number): Promise<string | undefined> {
    const { id, node, state } = attachment
    const ours = attachment.users.filter(isOurs)
    let { users } = attachment
    for (const user of ours) {
      const path = `/v1/attachments/${id}/release`
      const sent = this.#ledger.send<{ attachment: ShownAttachment }>('POST', path, { user: { id: user.id } }, leftMs)
      const released = await sent.catch((thrown) => {
        if (asHoldfastError(thrown).code === 'not_found') return undefined
        throw thrown
      })
      users = released?.attachment.users ?? []
    }
    // what other doors do with it there is their own; of ours, nothing may be left
    if (users.some((user) => user.door !== 'csi')) return undefined
    if (users.length > 0) return `is still staged on node ${node}`
    if (ours.length > 0) return `is being detached from node ${node}`
    return state === 'stuck' ? `is stuck on node ${node}: ${attachment.reason ?? ''}` : `is being detached from node ${node}`
  }
}

function readClaim(request: ControllerPublishVolumeRequest): Claim {
  const nodeId = requiredText('node_id', request.nodeId)
  const wish = readWish(request.volumeCapability)
  checkMap('volume_context', request.volumeContext)
  const readOnly = request.readonly || wish.readOnly
  const user = `${USERS}${wish.kind} ${wish.access} ${readOnly ? 'ro' : 'rw'}`
  return { nodeId, wish, readOnly, user }
}

/** @throws ALREADY_EXISTS when it was published there for something else */
function isPublished(volume: ShownVolume, { nodeId, user }: Claim): boolean {
  const users = volume.attachments.filter((each) => isOn(each, nodeId)).flatMap((each) => each.users.filter(isOurs))
  const other = users.find((each) => each.id !== user)
  if (other === undefined) return users.length > 0
  const as = other.id.slice(USERS.length)
  throw new GrpcError('ALREADY_EXISTS', `volume ${volume.name} is published on node ${nodeId} already, as ${as}`)
}

function isOurs(user: { door: string; id: string }): boolean {
  return user.door === 'rest' && user.id.startsWith(USERS)
}

function isOn({ node, nodeId }: ShownAttachment, wanted: string): boolean {
  return node === wanted || nodeId === wanted
}

function noLonger(name: string): GrpcError {
  return new GrpcError('FAILED_PRECONDITION', `volume ${name} is missing on its storage`)
}
