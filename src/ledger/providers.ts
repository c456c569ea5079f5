import { HoldfastError } from '../model/errors.ts'
import { type Guard, MAX_STACKS, type Provider, providerRecordId, type Reservation } from '../model/mesos.ts'
import { about, type Outcome } from './outcome.ts'
import { moved } from './stacks.ts'
import type { Transaction } from './transaction.ts'

export type ProviderCommand =
  /** An agent has given a pool's provider its id. */
  | { kind: 'provider.set'; nodeId: string; poolId: string; agentId: string; providerId: string }
  /** Mesos has moved capacity from one stack of reservations to another; an empty one is what is not reserved. */
  | {
      kind: 'provider.reserve'
      nodeId: string
      poolId: string
      from: Reservation[]
      to: Reservation[]
      sizeMiB: number
    }
  /** What the tasks of an agent take of the node's storage bandwidth, in the node's unit. */
  | { kind: 'provider.bandwidth'; nodeId: string; poolId: string; bandwidth: number }
  | { kind: 'provider.forget'; nodeId: string; poolId: string }
  | { kind: 'guard.set'; state: Guard['state']; why: readonly string[] }

type Of<K extends ProviderCommand['kind']> = Extract<ProviderCommand, { kind: K }>

export function setProvider(tx: Transaction, command: Of<'provider.set'>): Outcome<Provider> {
  const { agentId, providerId } = command
  const before = provider(tx, command)
  const same = before.agentId === agentId && before.providerId === providerId
  const after = same ? before : tx.put('provider', { ...before, agentId, providerId })
  return told(tx, after, 'provider.set', { agentId, providerId })
}

/** Bookkeeping of what has happened: never refused for lack of room. */
export function reserve(tx: Transaction, command: Of<'provider.reserve'>): Outcome<Provider> {
  const { from, to, sizeMiB } = command
  const before = provider(tx, command)
  const reserved = moved(moved(before.reserved, from, -sizeMiB), to, sizeMiB)
  if (reserved.length > MAX_STACKS) {
    throw new HoldfastError(
      'wrong_state',
      `the provider has ${MAX_STACKS} different stacks of reservations already; unreserve some of them`,
    )
  }
  return told(tx, tx.put('provider', { ...before, reserved }), 'provider.reserved', { from, to, sizeMiB })
}

/** @throws node_full when attachments and the tasks of all pools would take more than the node has (invariant I2) */
export function setBandwidth(tx: Transaction, command: Of<'provider.bandwidth'>): Outcome<Provider> {
  const { bandwidth } = command
  const before = provider(tx, command)
  const after = before.bandwidth === bandwidth ? before : tx.put('provider', { ...before, bandwidth })
  return told(tx, after, 'provider.bandwidth', { bandwidth })
}

/** Not being there is a success. */
export function forgetProvider(tx: Transaction, { nodeId, poolId }: Of<'provider.forget'>): Outcome<null> {
  const id = providerRecordId(nodeId, poolId)
  if (tx.get('provider', id) !== undefined) tx.remove('provider', id)
  return { answer: null, event: { type: 'provider.forgotten', subject: { kind: 'provider', id }, data: {} } }
}

/** The record of a pool on a node's agent, new if there is none. @throws not_found */
function provider(tx: Transaction, { nodeId, poolId }: { nodeId: string; poolId: string }): Provider {
  const id = providerRecordId(tx.need('node', nodeId).id, tx.need('pool', poolId).id)
  const known = tx.get('provider', id)
  return known ?? tx.put('provider', { id, nodeId, poolId, bandwidth: 0, reserved: [], since: tx.now })
}

function told(tx: Transaction, record: Provider, type: string, data: Record<string, unknown>): Outcome<Provider> {
  const node = tx.get('node', record.nodeId)?.name
  const pool = tx.get('pool', record.poolId)?.name
  return about('provider', record, type, { node, pool, ...data })
}

export function setGuard(tx: Transaction, { state, why }: Of<'guard.set'>): Outcome<Guard> {
  const before = tx.get('guard', 'mesos')
  const same = before?.state === state && JSON.stringify(before.why) === JSON.stringify(why)
  const guard = same ? before : tx.put('guard', { id: 'mesos', state, why: [...why], at: tx.now })
  return about('guard', guard, 'guard.set', { state, why })
}
