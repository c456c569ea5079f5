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
const MAX_NODE_ID = 256

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
        checkSame(volume, claim)
        await this.#claim(volume, claim)
        return claim.readOnly ? { [READ_ONLY_CONTEXT]: 'true' } : {}
      }),
    )
  }

  async #claim({ id, name }: ShownVolume, { nodeId, readOnly, user }: Claim): Promise<void> {
    const body = { volume: id, node: nodeId, user: { id: user }, mode: readOnly ? 'ro' : 'rw' }
    try {
      await this.#ledger.send('POST', '/v1/attachments', body)
    } catch (thrown) {
      const { code, data } = asHoldfastError(thrown)
      // the node that has it is about to say that it has let it go
      if (code !== 'held_elsewhere' || data.state !== 'unmounting') throw thrown
      throw pending(`volume ${name} is being detached from node ${data.node}`)
    }
  }

  async unpublish(request: ControllerUnpublishVolumeRequest, context: CallContext): Promise<void> {
    const volumeId = requiredText('volume_id', request.volumeId)
    checkNodeId(request.nodeId)
    return this.#turns.run(volumeId, context.signal, () =>
      whileWaited(this.#patience, context, async (leftMs) => {
        const there = await this.#on(volumeId, request.nodeId)
        const ours = there.flatMap(({ id, users }) => users.filter(isOurs).map((user) => ({ id, user: user.id })))
        await Promise.all(ours.map((each) => this.#release(each.id, each.user, leftMs)))
        const now = ours.length === 0 ? there : await this.#on(volumeId, request.nodeId)
        const why = now.map(notGone).find((each) => each !== undefined)
        if (why !== undefined) throw pending(`volume ${volumeId} ${why}`)
      }),
    )
  }

  /** A volume's attachments on a node, or on all; none for a volume that is not there, which is as good. */
  async #on(volumeId: string, nodeId: string): Promise<readonly ShownAttachment[]> {
    const volume = await this.#ledger.volume(volumeId)
    if (volume === undefined || !this.#ledger.roles.includes(volume.role)) return []
    return volume.attachments.filter((each) => nodeId === '' || isOn(each, nodeId))
  }

  async #release(attachmentId: string, user: string, leftMs: number): Promise<void> {
    try {
      await this.#ledger.send('POST', `/v1/attachments/${attachmentId}/release`, { user: { id: user } }, leftMs)
    } catch (thrown) {
      if (asHoldfastError(thrown).code !== 'not_found') throw thrown
    }
  }
}

/** Why another node cannot have it yet. What other doors do with it there is their own. */
function notGone({ users, state, node, reason }: ShownAttachment): string | undefined {
  if (users.some(({ door }) => door !== 'csi')) return undefined
  if (users.length > 0) return `is still staged on node ${node}`
  return state === 'stuck' ? `is stuck on node ${node}: ${reason}` : `is being detached from node ${node}`
}

function readClaim(request: ControllerPublishVolumeRequest): Claim {
  const { nodeId } = request
  if (nodeId === '') throw badField('node_id', 'missing')
  checkNodeId(nodeId)
  const wish = readWish(request.volumeCapability)
  checkMap('volume_context', request.volumeContext)
  const readOnly = request.readonly || wish.readOnly
  const user = `${USERS}${wish.kind} ${wish.access} ${readOnly ? 'ro' : 'rw'}`
  return { nodeId, wish, readOnly, user }
}

/** @throws ALREADY_EXISTS when it was published there for something else */
function checkSame({ name, attachments }: ShownVolume, { nodeId, user }: Claim): void {
  const users = attachments.filter((each) => isOn(each, nodeId)).flatMap((each) => each.users.filter(isOurs))
  const other = users.find((each) => each.id !== user)
  if (other === undefined) return
  const as = other.id.slice(USERS.length)
  throw new GrpcError('ALREADY_EXISTS', `volume ${name} is published on node ${nodeId} already, as ${as}`)
}

/** Longer than other texts (csi.proto, NodeGetInfoResponse.node_id). @throws INVALID_ARGUMENT */
function checkNodeId(nodeId: string): void {
  if (Buffer.byteLength(nodeId) > MAX_NODE_ID) throw badField('node_id', `longer than ${MAX_NODE_ID} bytes`)
}

function isOurs(user: { door: string; id: string }): boolean {
  return user.door === 'rest' && user.id.startsWith(USERS)
}

function isOn({ node, nodeId }: ShownAttachment, wanted: string): boolean {
  return node === wanted || nodeId === wanted
}
