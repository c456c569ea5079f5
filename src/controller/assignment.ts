import type { LedgerState } from '../ledger/state.ts'
import type { Attachment } from '../model/attachment.ts'
import type { Assignment, AttachmentSpec, PoolSpec, VolumeSpec, WorkOrder } from '../model/node-protocol.ts'
import type { Operation } from '../model/operation.ts'
import type { Volume } from '../model/volume.ts'

/** All that the controller wants of a node at the state's revision; a pure function of the ledger. */
export function assignmentFor(state: LedgerState, nodeId: string): Omit<Assignment, 'term' | 'pools'> {
  const attachments: AttachmentSpec[] = []
  for (const id of state.attachmentsByNode.get(nodeId)) {
    const attachment = state.get('attachment', id)
    if (attachment !== undefined) attachments.push(attachmentSpec(state, attachment))
  }
  const work: WorkOrder[] = []
  for (const id of state.operationsByNode.get(nodeId)) {
    const operation = state.get('operation', id)
    if (operation !== undefined && !isFromEarlierBoot(state, operation)) work.push(workOrder(state, operation))
  }
  return { revision: state.revision, attachments, work }
}

/** Every pool, as nodes need to know it. */
export function poolSpecs(state: LedgerState): PoolSpec[] {
  return [...state.all('pool').values()].map(({ id, name, uuid, driver, settings, fence, handle }) => ({
    id,
    name,
    uuid,
    driver,
    settings,
    fence,
    ...withHandle(handle),
  }))
}

export function attachmentSpec(state: LedgerState, attachment: Attachment): AttachmentSpec {
  const volume = state.get('volume', attachment.volumeId) as Volume
  return {
    id: attachment.id,
    epoch: attachment.epoch,
    mode: attachment.mode,
    state: attachment.state,
    users: attachment.users.map(({ door, id }) => ({ door, id })),
    claims: attachment.claims,
    bootId: attachment.bootId,
    ...(attachment.mountAt === undefined ? {} : { mountAt: attachment.mountAt }),
    volume: volumeSpec(volume),
  }
}

function volumeSpec(volume: Volume): VolumeSpec {
  const { id, name, poolId, object, fs, handle, iops } = volume
  // what is counted may be more than what is there: it may be about to grow
  const sizeMiB = Math.min(volume.sizeMiB, Math.max(1, volume.realSizeMiB ?? volume.sizeMiB))
  const uuid = volume.format.state === 'formatted' ? { fsUuid: volume.format.uuid } : {}
  return { id, name, poolId, object, sizeMiB, fs, ...withHandle(handle), ...(iops > 0 ? { iops } : {}), ...uuid }
}

function withHandle(handle: string | undefined): { handle?: string } {
  return handle === undefined ? {} : { handle }
}

function workOrder(state: LedgerState, operation: Operation): WorkOrder {
  return {
    operationId: operation.id,
    attempt: operation.attempt,
    step: operation.step,
    poolId: operation.poolId,
    cancel: operation.cancelRequested,
    recreate: operation.recreate,
    ...subjectOf(state, operation),
    ...sourceOf(state, operation),
  }
}

function subjectOf(state: LedgerState, operation: Operation): Partial<WorkOrder> {
  const { kind, id } = operation.subject
  if (kind === 'pool') return {}
  if (kind === 'snapshot') {
    const snapshot = state.get('snapshot', id)
    if (snapshot === undefined) return {}
    const { object, sizeMiB, fs, handle } = snapshot
    const together =
      snapshot.group === undefined ? {} : { together: { id: snapshot.group.id, size: snapshot.group.size } }
    return { object, sizeMiB, fs, ...withHandle(handle), ...(operation.step === 'snapshot' ? together : {}) }
  }
  if (kind === 'attachment') {
    const volume = state.get('volume', String(operation.detail.volumeId))
    const { bootId, nodeId } = operation.detail
    const lost = { nodeId: String(nodeId), bootId: String(bootId) }
    const about = volume === undefined ? {} : { object: volume.object, ...withHandle(volume.handle) }
    return { ...about, ...lost, made: madeUnder(state, id) }
  }
  const volume = state.get('volume', id)
  if (volume === undefined) return {}
  const mine = attachmentOf(state, operation, id)
  return {
    object: volume.object,
    ...withHandle(volume.handle),
    sizeMiB: operation.step === 'grow' ? Number(operation.detail.toMiB) : volume.sizeMiB,
    fs: volume.fs,
    volumeId: id,
    ...('uuid' in volume.format ? { fsUuid: volume.format.uuid } : {}),
    ...(mine === undefined ? {} : { epoch: mine.epoch, attachmentId: mine.id, claims: mine.claims }),
  }
}

function sourceOf(state: LedgerState, operation: Operation): Partial<WorkOrder> {
  const { source } = operation
  const record = source === undefined ? undefined : state.get(source.kind, source.id)
  if (source === undefined || record === undefined) return {}
  const mine = attachmentOf(state, operation, source.id)
  return {
    source: {
      object: record.object,
      ...withHandle(record.handle),
      fs: record.fs,
      ...(state.get('pool', record.poolId)?.capabilities?.snapshot === 'copy' ? { idleOnly: true } : {}),
      ...(source.kind === 'volume' ? { volumeId: source.id } : {}),
      ...(mine === undefined ? {} : { attachmentId: mine.id, claims: mine.claims }),
    },
  }
}

/** Objects that operations were making while they used an attachment, and that have none of their own. */
function madeUnder(state: LedgerState, attachmentId: string): string[] {
  return (state.get('attachment', attachmentId)?.users ?? []).flatMap((user) => {
    const subject = user.door === 'operation' ? state.get('operation', user.id)?.subject : undefined
    const snapshot = subject?.kind === 'snapshot' ? state.get('snapshot', subject.id) : undefined
    return snapshot === undefined ? [] : [snapshot.object]
  })
}

/**
 * Work under an attachment of an earlier boot is dead with it: the node proves that boot gone, and then it starts anew.
 * To do it meanwhile would be to write under an epoch that is just ending.
 */
function isFromEarlierBoot(state: LedgerState, operation: Operation): boolean {
  const { subject, source, nodeId } = operation
  const bootId = nodeId === undefined ? undefined : state.get('node', nodeId)?.bootId
  return [subject.id, source?.id].some((volumeId) => {
    const mine = volumeId === undefined ? undefined : attachmentOf(state, operation, volumeId)
    return mine !== undefined && mine.bootId !== bootId
  })
}

/** The attachment of a volume of which this operation is a user. */
function attachmentOf(state: LedgerState, operation: Operation, volumeId: string): Attachment | undefined {
  for (const id of state.attachmentsByVolume.get(volumeId)) {
    const attachment = state.get('attachment', id)
    if (attachment?.users.some((user) => user.id === operation.id) === true) return attachment
  }
  return undefined
}
