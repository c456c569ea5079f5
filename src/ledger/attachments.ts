import { type Attachment, MAX_USERS } from '../model/attachment.ts'
import { HoldfastError } from '../model/errors.ts'
import type { Node } from '../model/node.ts'
import { quote } from '../model/units.ts'
import type { Volume } from '../model/volume.ts'
import { about, type Outcome } from './outcome.ts'
import { staleSession } from './pools.ts'
import { dropUser, type Proof, removeAttachment, restartUsers, sameUser } from './proof.ts'
import type { Transaction } from './transaction.ts'

export interface ClaimRequest {
  volumeId: string
  nodeId: string
  user: { door: string; id: string }
  mode: 'rw' | 'ro'
  /** Undefined: what the volume needs. */
  bandwidth: number | undefined
  mountAt: string | undefined
}

export type AttachmentCommand =
  | ({ kind: 'attachment.claim' } & ClaimRequest)
  | { kind: 'attachment.unclaim'; volumeId: string; nodeId: string; user: { door: string; id: string } }
  | {
      kind: 'attachment.report'
      attachmentId: string
      epoch: number
      /** How many claims the node knew of. */
      claims: number
      nodeId: string
      bootId: string
      session: string
      state: 'attached' | 'mounted' | 'detached' | 'stuck'
      path: string | undefined
      reason: string | undefined
    }
  | { kind: 'attachment.force'; attachmentId: string; reason: string }
  | { kind: 'attachment.lease-ended'; attachmentId: string }

type Of<K extends AttachmentCommand['kind']> = Extract<AttachmentCommand, { kind: K }>

/** A user claims a volume on a node: the one gate through which every attachment goes (invariant I4). */
export function claim(tx: Transaction, command: Of<'attachment.claim'>): Outcome<Attachment> {
  const volume = tx.need('volume', command.volumeId)
  const node = tx.need('node', command.nodeId)
  const mine = attachmentOn(tx, volume.id, node.id)
  const known = mine?.users.some((user) => sameUser(user, command.user)) === true
  if (mine !== undefined && known && mine.bootId === node.bootId) return about('attachment', mine, 'attachment.claimed')
  usable(tx, volume, node)
  const attachment = mine === undefined ? attach(tx, volume, node, command) : join(tx, volume, node, mine, command)
  return about('attachment', attachment, 'attachment.claimed', {
    volume: volume.name,
    node: node.name,
    user: command.user,
    epoch: attachment.epoch,
  })
}

function usable(tx: Transaction, volume: Volume, node: Node): void {
  if (volume.state !== 'available') {
    const why = volume.fault === undefined ? '' : `: ${volume.fault.message}`
    throw new HoldfastError('wrong_state', `volume ${volume.name} is ${volume.state}${why}`, { state: volume.state })
  }
  if (node.state !== 'up') throw new HoldfastError('wrong_state', `node ${node.name} is ${node.state}, not up`)
  const pool = tx.need('pool', volume.poolId)
  if (!node.reach.includes(pool.id)) {
    throw new HoldfastError('no_reach', `node ${node.name} does not reach pool ${pool.name}`, { pool: pool.name })
  }
}

/** The first user on this node: a new attachment with a new epoch, if nobody else may be writing. */
function attach(tx: Transaction, volume: Volume, node: Node, command: ClaimRequest): Attachment {
  if (node.cordoned) throw new HoldfastError('wrong_state', `node ${node.name} is cordoned: it takes nothing new`)
  mayShare(tx, volume, node, command.mode)
  return newAttachment(tx, volume, node, command)
}

/** Records an attachment under the next epoch. The caller has made sure that nobody else may be writing. */
export function newAttachment(tx: Transaction, volume: Volume, node: Node, request: ClaimRequest): Attachment {
  const epoch = volume.epoch + 1
  tx.put('volume', { ...volume, epoch })
  return tx.put('attachment', {
    id: tx.newId('attachment'),
    volumeId: volume.id,
    nodeId: node.id,
    epoch,
    mode: request.mode,
    users: [{ ...request.user, since: tx.now }],
    claims: 1,
    state: 'attaching',
    bootId: node.bootId ?? '',
    bandwidth: request.bandwidth ?? volume.bandwidth,
    ...(request.mountAt === undefined ? {} : { mountAt: request.mountAt }),
    since: tx.now,
  })
}

/** Writers are alone, and readers may be many, unless the volume itself is made for more. @throws held_elsewhere, awaiting_proof */
export function mayShare(tx: Transaction, volume: Volume, node: Node, mode: 'rw' | 'ro'): void {
  if (mode === 'rw' && volume.access === 'read-only') {
    throw new HoldfastError('wrong_state', `volume ${volume.name} is read-only; ask for it read-only`)
  }
  for (const id of tx.state.attachmentsByVolume.get(volume.id)) {
    const other = tx.need('attachment', id)
    if (other.nodeId === node.id) continue
    if (volume.access === 'many-writers') continue
    if (volume.access !== 'single-writer' && mode === 'ro' && other.mode === 'ro') continue
    throw heldBy(tx, volume, other)
  }
}

function heldBy(tx: Transaction, volume: Volume, other: Attachment): HoldfastError {
  const holder = tx.need('node', other.nodeId)
  const data = { node: holder.name, epoch: other.epoch, attachment: other.id, state: other.state }
  if (holder.state === 'lost') {
    return new HoldfastError(
      'awaiting_proof',
      `volume ${volume.name} is held by node ${holder.name}, which is lost; it moves when that node is proven gone (it returns, it is fenced, or an operator forces it)`,
      data,
    )
  }
  const users = other.users.map((user) => `${user.door} ${user.id.slice(0, 12)}`).join(', ') || 'being released'
  return new HoldfastError('held_elsewhere', `volume ${volume.name} is in use on node ${holder.name} (${users})`, data)
}

/** One more user on a node that has the volume already. */
function join(tx: Transaction, volume: Volume, node: Node, mine: Attachment, command: ClaimRequest): Attachment {
  if (mine.state === 'fencing') throw heldBy(tx, volume, mine)
  // an operation may be writing to a volume that nobody else may write to
  if (volume.access === 'read-only' && mine.mode === 'rw') throw heldBy(tx, volume, mine)
  if (command.mode === 'rw' && mine.mode === 'ro') {
    throw new HoldfastError('wrong_state', `volume ${volume.name} is attached read-only on node ${node.name}`)
  }
  if (command.mountAt !== undefined && command.mountAt !== mine.mountAt) {
    throw new HoldfastError(
      'wrong_state',
      `volume ${volume.name} is mounted ${mine.mountAt === undefined ? 'elsewhere' : `at ${mine.mountAt}`} on node ${node.name} already`,
    )
  }
  const rebooted = mine.bootId !== node.bootId
  // users that came under an earlier boot of the machine died with it, and so did every mount
  if (rebooted) restartUsers(tx, mine)
  const living = rebooted ? [] : mine.users
  if (living.length >= MAX_USERS) {
    throw new HoldfastError('node_full', `volume ${volume.name} has ${MAX_USERS} users on node ${node.name} already`)
  }
  return tx.put('attachment', {
    ...mine,
    bootId: node.bootId ?? '',
    users: [...living, { ...command.user, since: tx.now }],
    claims: mine.claims + 1,
    bandwidth: Math.max(mine.bandwidth, command.bandwidth ?? volume.bandwidth),
    state: rebooted || mine.state === 'unmounting' ? 'attaching' : mine.state,
  })
}

/** A user goes; the last one leaves the node to unmount and detach. Not being there is a success. */
export function unclaim(tx: Transaction, command: Of<'attachment.unclaim'>): Outcome<Attachment | null> {
  const mine = attachmentOn(tx, command.volumeId, command.nodeId)
  const subject = { kind: 'volume', id: command.volumeId } as const
  const event = { type: 'attachment.unclaimed', subject, data: { user: command.user } }
  if (mine === undefined) return { answer: null, event }
  return { answer: dropUser(tx, mine, command.user), event }
}

/**
 * What the node says of an attachment. `detached` is proof (a), or (c) when the machine has booted since: only under
 * the current session and boot, only for this epoch, and only when nobody uses it or has claimed it since.
 */
export function reportAttachment(tx: Transaction, command: Of<'attachment.report'>): Outcome<Attachment | null> {
  const node = tx.need('node', command.nodeId)
  if (node.session !== command.session || node.bootId !== command.bootId) throw staleSession(node.name)
  const attachment = tx.get('attachment', command.attachmentId)
  const subject = { kind: 'attachment', id: command.attachmentId } as const
  const event = { type: `attachment.${command.state}`, subject, data: { node: node.name, epoch: command.epoch } }
  if (attachment === undefined || attachment.nodeId !== node.id || attachment.epoch !== command.epoch) {
    throw new HoldfastError('stale_epoch', `attachment ${quote(command.attachmentId)} is not at epoch ${command.epoch}`)
  }
  if (command.state === 'detached') {
    const proof = proveDetached(tx, attachment, command)
    return { answer: null, event: { ...event, data: { ...event.data, proof } } }
  }
  if (attachment.state === 'fencing') return { answer: attachment, event }
  const { reason: _, ...kept } = attachment
  const state = command.state !== 'stuck' && attachment.users.length === 0 ? 'unmounting' : command.state
  const same =
    attachment.state === state &&
    attachment.reason === command.reason &&
    (command.path === undefined || attachment.path === command.path)
  if (same) return { answer: attachment, event }
  const after = tx.put('attachment', {
    ...kept,
    state,
    ...(command.path === undefined ? {} : { path: command.path }),
    ...(command.reason === undefined ? {} : { reason: command.reason }),
  })
  return { answer: after, event }
}

function proveDetached(tx: Transaction, attachment: Attachment, command: Of<'attachment.report'>): Proof {
  const rebooted = attachment.bootId !== command.bootId
  if (attachment.users.length > 0 && !rebooted) {
    throw new HoldfastError('in_use', `attachment ${attachment.id} has users; it cannot be reported detached`)
  }
  if (attachment.claims !== command.claims) {
    throw new HoldfastError('stale_epoch', `attachment ${attachment.id} was claimed again since; that proof is void`)
  }
  const proof = rebooted ? 'rebooted' : 'detached'
  removeAttachment(tx, attachment, proof)
  return proof
}

/** Proof (e): an operator says so, with a reason, and answers for it. */
export function forceDetach(tx: Transaction, command: Of<'attachment.force'>): Outcome<Attachment> {
  const attachment = tx.need('attachment', command.attachmentId)
  const node = tx.need('node', attachment.nodeId)
  if (node.state === 'up' && attachment.state !== 'stuck') {
    throw new HoldfastError(
      'wrong_state',
      `node ${node.name} is up and answers for this volume; end its users there instead of forcing it`,
    )
  }
  removeAttachment(tx, attachment, 'forced')
  return about('attachment', attachment, 'attachment.forced', {
    reason: command.reason,
    node: node.name,
    epoch: attachment.epoch,
    proof: 'forced',
  })
}

/** Proof (d): under `fence: self` the machine has stopped its own I/O before its lease ran out. */
export function leaseEnded(tx: Transaction, command: Of<'attachment.lease-ended'>): Outcome<Attachment> {
  const attachment = tx.need('attachment', command.attachmentId)
  const node = tx.need('node', attachment.nodeId)
  const pool = tx.need('pool', tx.need('volume', attachment.volumeId).poolId)
  if (node.state !== 'lost' || pool.fence !== 'self' || !node.watchdog) {
    throw new HoldfastError('wrong_state', `node ${node.name} has not ended its lease under a watchdog`)
  }
  removeAttachment(tx, attachment, 'lease-ended')
  return about('attachment', attachment, 'attachment.fenced', {
    node: node.name,
    epoch: attachment.epoch,
    proof: 'lease-ended',
  })
}

export function attachmentOn(tx: Transaction, volumeId: string, nodeId: string): Attachment | undefined {
  for (const id of tx.state.attachmentsByVolume.get(volumeId)) {
    const attachment = tx.need('attachment', id)
    if (attachment.nodeId === nodeId) return attachment
  }
  return undefined
}
