import assert from 'node:assert/strict'
import type { Command } from '../../../src/ledger/commands.ts'
import type { LedgerState } from '../../../src/ledger/state.ts'
import type { Attachment } from '../../../src/model/attachment.ts'
import type { Operation } from '../../../src/model/operation.ts'
import type { Volume } from '../../../src/model/volume.ts'

/**
 * Invariants I4 and I5 over time: watches every step for epochs that are not new, attachments that vanish without one
 * of the five proofs, and formats that skip a state. It keeps a memory of its own and reads only records.
 */
export class EpochWatch {
  readonly #highest = new Map<string, number>()
  /** The machine whose kernel has the volume, by attachment: only it can come back with a new boot id. */
  readonly #machines = new Map<string, string | undefined>()

  /** Call before a command; the function it gives back, after it was accepted. */
  before(state: LedgerState, command: Command): (after: LedgerState) => void {
    const attachments = new Map(state.all('attachment'))
    const volumes = new Map(state.all('volume'))
    const gone = [...attachments.values()].filter((each) => provesGone(state, command, each, this.#machines))
    const allowed = new Set(gone.map((each) => each.id))
    return (after) => {
      for (const [id, attachment] of attachments) {
        const now = after.get('attachment', id)
        if (now === undefined) assert.ok(allowed.has(id), `${command.kind} removed ${id} without proof`)
        else this.#same(attachment, now, after, command)
      }
      for (const [id, attachment] of after.all('attachment')) {
        if (!attachments.has(id)) this.#made(attachment, volumes.get(attachment.volumeId), after)
      }
      for (const volume of after.all('volume').values()) checkFormat(volumes.get(volume.id), volume, after)
    }
  }

  #same(before: Attachment, now: Attachment, after: LedgerState, command: Command): void {
    for (const field of ['volumeId', 'nodeId', 'epoch', 'mode'] as const) {
      assert.equal(now[field], before[field], `${before.id}: ${field} stays`)
    }
    if (before.state === 'fencing' && command.kind !== 'fence.stop') {
      assert.equal(now.state, 'fencing', `${before.id} is fenced until it is gone or its fence is called off`)
    }
    assert.ok(now.claims >= before.claims, `${before.id}: claims only grow`)
    const came = now.users.some((user) => !before.users.some((old) => old.door === user.door && old.id === user.id))
    if (came) {
      assert.ok(now.claims > before.claims, `${before.id}: a new user is a new claim`)
      assert.notEqual(before.state, 'fencing', `${before.id} is fenced: nobody joins`)
    }
    if (now.bootId !== before.bootId) this.#machines.set(now.id, after.get('node', now.nodeId)?.machineId)
  }

  #made(attachment: Attachment, volume: Volume | undefined, after: LedgerState): void {
    const highest = Math.max(this.#highest.get(attachment.volumeId) ?? 0, volume?.epoch ?? 0)
    assert.ok(attachment.epoch > highest, `${attachment.id} has a new epoch`)
    assert.equal(after.get('volume', attachment.volumeId)?.epoch, attachment.epoch, 'the volume knows its epoch')
    assert.equal(attachment.bootId, after.get('node', attachment.nodeId)?.bootId, `${attachment.id} is of this boot`)
    this.#highest.set(attachment.volumeId, attachment.epoch)
    this.#machines.set(attachment.id, after.get('node', attachment.nodeId)?.machineId)
  }
}

/** Whether the command is one of the five proofs that this epoch is gone, under the proof's own conditions. */
function provesGone(
  state: LedgerState,
  command: Command,
  attachment: Attachment,
  machines: ReadonlyMap<string, string | undefined>,
): boolean {
  const node = state.get('node', attachment.nodeId)
  const pool = state.get('pool', state.get('volume', attachment.volumeId)?.poolId ?? '')
  const sameMachine = machines.get(attachment.id) === node?.machineId
  switch (command.kind) {
    case 'attachment.report': {
      const current = command.session === node?.session && command.bootId === node.bootId && command.nodeId === node.id
      const named =
        command.attachmentId === attachment.id &&
        command.epoch === attachment.epoch &&
        command.claims === attachment.claims
      const unused = attachment.users.length === 0 || attachment.bootId !== node?.bootId
      return command.state === 'detached' && current && named && unused && sameMachine
    }
    case 'operation.result':
      return resultProves(state, command, attachment, state.get('operation', command.operationId)) && sameMachine
    case 'attachment.lease-ended':
      return command.attachmentId === attachment.id && node?.state === 'lost' && pool?.fence === 'self' && node.watchdog
    case 'attachment.force':
      return (
        command.attachmentId === attachment.id &&
        command.reason.length > 0 &&
        (node?.state !== 'up' || attachment.state === 'stuck')
      )
    default:
      return false
  }
}

/** A node's word at the end of a step: that it detached what only this step used, or that it fenced another node. */
function resultProves(
  state: LedgerState,
  command: Extract<Command, { kind: 'operation.result' }>,
  attachment: Attachment,
  operation: Operation | undefined,
): boolean {
  const current =
    operation?.state === 'running' && operation.attempt === command.attempt && operation.nodeId === command.nodeId
  if (!current || state.get('node', command.nodeId)?.session !== command.session) return false
  if (operation.step === 'fence') {
    return command.outcome.ok && operation.subject.id === attachment.id && attachment.state === 'fencing'
  }
  const onlyItsOwn = attachment.users.length === 1 && attachment.users[0]?.id === operation.id
  const said = command.detached.some(
    (proof) => proof.attachmentId === attachment.id && proof.claims === attachment.claims,
  )
  return said && onlyItsOwn && attachment.nodeId === command.nodeId
}

/** I5: blank → formatting → formatted, each under the epoch of who does it; a formatted one is never formatted. */
function checkFormat(before: Volume | undefined, now: Volume, after: LedgerState): void {
  const was = before?.format
  if (was === now.format || was === undefined) {
    if (was === undefined) assert.ok(now.format.state === 'blank' || now.format.state === 'none', 'starts blank')
    return
  }
  const step = `${was.state} → ${now.format.state}`
  const allowed = ['blank → formatting', 'formatting → formatting', 'formatting → formatted', 'none → none']
  const imported = now.imported && step === 'none → formatted'
  assert.ok(allowed.includes(step) || imported, `${now.id}: format ${step}`)
  if (now.format.state === 'formatting') {
    const own = [...after.attachmentsByVolume.get(now.id)].map((id) => after.get('attachment', id)?.epoch)
    assert.deepEqual(own, [now.format.epoch], `${now.id} is formatted under its only epoch`)
    assert.ok(was.state !== 'formatting' || was.epoch <= now.format.epoch, 'formatted again under a later epoch')
  }
  if (was.state === 'formatting' && now.format.state === 'formatted') assert.equal(now.format.uuid, was.uuid)
}
