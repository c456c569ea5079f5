import { HoldfastError } from '../model/errors.ts'
import { checkName } from '../model/names.ts'
import { DEFAULT_ATTACHMENT_LIMIT, type Node } from '../model/node.ts'
import { about, type Outcome } from './outcome.ts'
import { staleSession } from './pools.ts'
import { restart } from './proof.ts'
import type { Transaction } from './transaction.ts'

export type NodeCommand =
  | {
      kind: 'node.join'
      name: string
      /** The join token that is used up by this, unless an admin joins the node. */
      joinTokenId: string | undefined
      /** Hex SHA-256 of the node's own credential. */
      credentialHash: string
      machineId: string
      labels: Record<string, string>
    }
  | { kind: 'node.update'; nodeId: string; set: NodeUpdate }
  | {
      kind: 'node.session'
      nodeId: string
      session: string
      bootId: string
      machineId: string
      version: string
      watchdog: boolean
      /** The node's lease of the session before this one is still running. */
      leased: boolean
    }
  | { kind: 'node.reach'; nodeId: string; session: string; reach: string[] }
  | { kind: 'node.lost'; nodeId: string; session: string }
  | { kind: 'node.alarm'; nodeId: string; session: string; alarm: string; volumeId: string; message: string }
  | { kind: 'node.remove'; nodeId: string }

export type NodeUpdate = Partial<Pick<Node, 'labels' | 'attachmentLimit' | 'bandwidthUnit' | 'cordoned'>> & {
  /** Null: not counted any more. */
  bandwidth?: number | null
}

type Of<K extends NodeCommand['kind']> = Extract<NodeCommand, { kind: K }>

export interface Joined {
  readonly node: Node
}

/**
 * A machine becomes a node and gets a credential of its own. The same machine may join again under its name (its
 * state directory was lost, say): it keeps its id, and its earlier credentials end.
 */
export function joinNode(tx: Transaction, command: Of<'node.join'>): Outcome<Joined> {
  checkName('node', command.name)
  if (command.joinTokenId !== undefined) tx.remove('token', tx.need('token', command.joinTokenId).id)
  const existing = tx.state.nodeByName.get(command.name)
  const holder = tx.get('token', tx.state.tokenByHash.get(command.credentialHash) ?? '')
  if (holder !== undefined && holder.nodeId !== existing) {
    throw new HoldfastError('node_id_in_use', 'this credential belongs to another node; make a new one')
  }
  const before = existing === undefined ? undefined : tx.need('node', existing)
  if (before !== undefined && before.machineId !== command.machineId) {
    throw new HoldfastError('name_taken', `node ${command.name} exists already, on another machine; remove it first`)
  }
  const node: Node = before ?? {
    id: tx.newId('node'),
    name: command.name,
    labels: command.labels,
    attachmentLimit: DEFAULT_ATTACHMENT_LIMIT,
    bandwidthUnit: 'MiB/s',
    reach: [],
    state: 'joined',
    cordoned: false,
    machineId: command.machineId,
    watchdog: false,
    createdAt: tx.now,
  }
  tx.put('node', { ...node })
  dropCredentials(tx, node.id)
  tx.put('token', {
    id: tx.newId('token'),
    hash: command.credentialHash,
    tokenRole: 'node',
    nodeId: node.id,
    note: `credential of node ${node.name}`,
    createdAt: tx.now,
  })
  const { type, subject, data } = about('node', node, 'node.joined').event
  return { answer: { node }, event: { type, subject, data } }
}

/** Limits and budgets are facts: lowering them below what is taken puts the node into deficit. */
export function updateNode(tx: Transaction, command: Of<'node.update'>): Outcome<Node> {
  tx.isFact = true
  const { bandwidth: before, ...kept } = tx.need('node', command.nodeId)
  const { bandwidth = before, ...set } = command.set
  const node = tx.put('node', { ...kept, ...set, ...(typeof bandwidth === 'number' ? { bandwidth } : {}) })
  return about('node', node, 'node.updated', { ...command.set })
}

/**
 * A node connects. One session per node id: another machine is refused while the lease of the first one runs, and as
 * long as that one may still have volumes: a new boot id is proof only from the same machine.
 * @throws node_id_in_use
 */
export function openSession(tx: Transaction, command: Of<'node.session'>): Outcome<Node> {
  const before = tx.need('node', command.nodeId)
  if (command.leased && before.machineId !== undefined && before.machineId !== command.machineId) {
    throw new HoldfastError(
      'node_id_in_use',
      `node ${before.name} is connected from another machine; give this one a name of its own`,
    )
  }
  const held = tx.state.attachmentsByNode.get(before.id).size
  if (held > 0 && before.machineId !== undefined && before.machineId !== command.machineId) {
    throw new HoldfastError(
      'node_id_in_use',
      `node ${before.name} still has volumes attached (${held}) on another machine, which nothing proves gone; fence or force them first, or give this machine a name of its own`,
      { attachments: held },
    )
  }
  const { lostAt: _, ...kept } = before
  const node = tx.put('node', {
    ...kept,
    state: 'up',
    session: command.session,
    bootId: command.bootId,
    machineId: command.machineId,
    version: command.version,
    watchdog: command.watchdog,
  })
  return about('node', node, 'node.up', { rebooted: before.bootId !== undefined && before.bootId !== command.bootId })
}

export function setReach(tx: Transaction, command: Of<'node.reach'>): Outcome<Node> {
  const node = tx.need('node', command.nodeId)
  if (node.session !== command.session) throw staleSession(node.name)
  const reach = [...new Set(command.reach)].filter((id) => tx.get('pool', id) !== undefined).sort()
  const same = reach.length === node.reach.length && reach.every((id, index) => id === node.reach[index])
  const after = same ? node : tx.put('node', { ...node, reach })
  return about('node', after, 'node.reach', { reach })
}

/** The lease ran out. Attachments stay, and stay counted, until one of the proofs of invariant I4 is there. */
export function loseNode(tx: Transaction, command: Of<'node.lost'>): Outcome<Node> {
  const before = tx.need('node', command.nodeId)
  if (before.session !== command.session || before.state !== 'up') throw staleSession(before.name)
  const node = tx.put('node', { ...before, state: 'lost', lostAt: tx.now })
  return about('node', node, 'node.lost', { attachments: tx.state.attachmentsByNode.get(node.id).size })
}

/** Something on a node that somebody should look at. It changes nothing but the history. */
export function raiseAlarm(tx: Transaction, command: Of<'node.alarm'>): Outcome<Node> {
  const node = tx.need('node', command.nodeId)
  if (node.session !== command.session) throw staleSession(node.name)
  const { alarm, volumeId, message } = command
  const volume = tx.get('volume', volumeId)?.name ?? volumeId
  return { ...about('node', node, 'node.alarm', { alarm, volume, message }), always: true }
}

export function removeNode(tx: Transaction, command: Of<'node.remove'>): Outcome<Node> {
  const node = tx.need('node', command.nodeId)
  const attachments = tx.state.attachmentsByNode.get(node.id).size
  if (attachments > 0) {
    throw new HoldfastError('in_use', `node ${node.name} still holds ${attachments} volumes`, { attachments })
  }
  const running = [...tx.state.operationsByNode.get(node.id)].sort().map((id) => tx.need('operation', id))
  if (running.length > 0 && node.state === 'up') {
    throw new HoldfastError('in_use', `node ${node.name} still has operations running`)
  }
  // a machine that is taken away for good does not come back to end them; none of them holds a volume
  for (const operation of running) restart(tx, operation)
  dropCredentials(tx, node.id)
  tx.remove('node', node.id)
  return about('node', node, 'node.removed')
}

function dropCredentials(tx: Transaction, nodeId: string): void {
  for (const token of [...tx.state.all('token').values()]) {
    if (token.nodeId === nodeId) tx.remove('token', token.id)
  }
}
