import assert from 'node:assert/strict'
import type { Command } from '../../../src/ledger/commands.ts'
import type { Accepted } from '../../../src/ledger/decide.ts'
import { limits, type Records, totals } from './recompute.ts'

/** What must be true of every command that was accepted, seen from the records before and after it. */
export function checkAccepted(command: Command, before: Records, after: Records, now: number): void {
  checkNotRaised(command, before, after)
  checkExpired(command, before, now)
  checkSession(command, before)
  checkShrunk(command, before, after)
}

/** Commands that tell of what is so, whatever the ledger would like. */
const FACTS: ReadonlySet<Command['kind']> = new Set([
  'pool.update',
  'node.update',
  'role.set',
  'role.delete',
  'volume.import',
])

/** No command but a fact raises what is above its limit afterwards. */
function checkNotRaised(command: Command, before: Records, after: Records): void {
  if (FACTS.has(command.kind) || readsRealSize(command, before)) return
  const usedBefore = totals(before)
  const usedAfter = totals(after)
  for (const [account, limit] of limits(after)) {
    const sum = usedAfter.get(account) ?? 0
    if (sum <= limit) continue
    assert.ok(sum <= (usedBefore.get(account) ?? 0), `${command.kind} raised ${account} to ${sum}, above ${limit}`)
  }
}

/** The end of a grow or an import counts what is really there. */
function readsRealSize(command: Command, before: Records): boolean {
  if (command.kind !== 'operation.result' || !command.outcome.ok) return false
  const operation = before.operation.find((each) => each.id === command.operationId)
  return operation?.step === 'grow' || operation?.step === 'import'
}

/** A node speaks only under its current session. */
function checkSession(command: Command, before: Records): void {
  if (command.kind === 'node.session' || !('session' in command)) return
  const node = before.node.find((each) => each.id === command.nodeId)
  assert.equal(command.session, node?.session, `${command.kind} under the current session`)
}

/** What a volume takes falls only when its real size was read, or when nobody has touched it yet. */
function checkShrunk(command: Command, before: Records, after: Records): void {
  for (const volume of after.volume) {
    const was = before.volume.find((each) => each.id === volume.id)
    if (was === undefined || volume.sizeMiB >= was.sizeMiB) continue
    const read = command.kind === 'operation.result' ? command.outcome.facts.sizeMiB : undefined
    const operation =
      command.kind === 'operation.cancel' && before.operation.find((each) => each.id === command.operationId)
    const untouched = operation && operation.kind === 'grow' && operation.attempt === 0
    assert.ok(untouched || (read !== undefined && read <= volume.sizeMiB), `${volume.id} shrank unread`)
  }
}

const TAKING: ReadonlySet<Command['kind']> = new Set([
  'hold.create',
  'volume.create',
  'group.create',
  'volume.resize',
  'snapshot.create',
  'snapshot.group',
  'attachment.claim',
  'operation.assign',
  'provider.bandwidth',
])

/** Only what takes more is refused for lack of room: never a fact, and never what gives back. */
export function checkMayBeFull(command: Command, code: string): void {
  if (!['does_not_fit', 'quota_exceeded', 'node_full'].includes(code)) return
  assert.ok(TAKING.has(command.kind), `${command.kind} was refused with ${code}`)
}

/** What ends because of the time has had its time, and an operator has confirmed the clock. */
function checkExpired(command: Command, before: Records, now: number): void {
  const end = endOf(command, before)
  if (end === undefined) return
  assert.equal(before.clock.length, 0, `${command.kind} while expiry is suspended`)
  assert.ok(end <= now, `${command.kind} at ${now}, before ${end}`)
}

function endOf(command: Command, before: Records): number | undefined {
  switch (command.kind) {
    case 'keys.expire':
      return 0
    case 'volume.purge':
      return before.volume.find((each) => each.id === command.volumeId)?.purgeAt
    case 'hold.release':
      if (command.reason !== 'expired') return undefined
      return before.hold.find((each) => each.id === command.holdId)?.expiresAt ?? Number.POSITIVE_INFINITY
    case 'token.revoke':
      if (command.reason !== 'expired') return undefined
      return before.token.find((each) => each.id === command.tokenId)?.expiresAt ?? Number.POSITIVE_INFINITY
    default:
      return undefined
  }
}

/** I8: as many volumes as were asked for, or none. */
export function checkWhole(command: Extract<Command, { kind: 'group.create' }>, decision: Accepted): void {
  const volumes = decision.changes.filter((change) => change.kind === 'volume')
  assert.equal(volumes.length, command.volumes.length, 'a group has all of its volumes')
  assert.ok(volumes.length >= 1 && volumes.length <= 16)
}
