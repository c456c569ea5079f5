import type { Attachment } from '../model/attachment.ts'
import type { DurableBatch, DurableLedger } from './durable-ledger.ts'
import type { Kernel } from './kernel.ts'
import type { FilesystemWatch } from './model-filesystems.ts'
import type { Device, StorageWatch, StoredObject } from './storage.ts'

/** Invariants I4, I5 and I6, looked at on the model disks whenever something is about to change there. */
export class DiskWatch implements StorageWatch, FilesystemWatch {
  readonly #ledger: DurableLedger
  readonly #fail: (message: string) => void
  readonly #kernelOf: (nodeId: string) => Kernel | undefined
  readonly #epochs = new Map<string, number>()

  constructor(
    ledger: DurableLedger,
    kernelOf: (nodeId: string) => Kernel | undefined,
    fail: (message: string) => void,
  ) {
    this.#ledger = ledger
    this.#kernelOf = kernelOf
    this.#fail = fail
    ledger.watch((batch) => this.#followAttachments(batch))
  }

  /** I6: there was a record before. */
  making(object: StoredObject): void {
    if (!this.#ledger.objectsEver.has(`${object.poolId}/${object.name}`)) {
      this.#fail(`I6: object ${object.name} was made without a record`)
    }
    // a call that was given up, or given to another node, and came to pass after all: inventory reports it
    const owner = this.#ledger.ownerOf(object.poolId, object.name)
    object.late = owner === undefined || owner.state === 'deleting'
  }

  /** Only what is being deleted, or was never finished, may go. */
  deleting(object: StoredObject): void {
    for (const device of object.devices) {
      if (!device.quiet) this.#fail(`I4: object ${object.name} is deleted while ${device.kernel.name} has it attached`)
    }
    const owner = this.#ledger.ownerOf(object.poolId, object.name)
    const { state } = owner ?? { state: 'gone' }
    if (state === 'available' || state === 'trash' || state === 'missing' || state === 'importing') {
      this.#fail(`I5: object ${object.name} is deleted, and its record is ${state}`)
    }
    if (owner !== undefined && 'imported' in owner && owner.imported && state !== 'deleting') {
      this.#fail(`I5: object ${object.name} was adopted, and is deleted while ${state}`)
    }
  }

  /** I4: a writer is alone, and has the word of the ledger. */
  attaching(device: Device): void {
    const { object, kernel } = device
    const volume = this.#ledger.volumeOf(object.poolId, object.name)
    for (const other of object.devices) {
      if (other.kernel === kernel || other.quiet) continue
      const readers = device.readOnly && other.readOnly && volume?.access !== 'single-writer'
      if (!readers) this.#fail(`I4: ${object.name} is attached on ${kernel.name} and on ${other.kernel.name}`)
    }
    this.#needAttachment(device, 'attached')
  }

  /** I4: whoever touches an object has an epoch for it that is not over. */
  #needAttachment(device: Device, what: string): Attachment | undefined {
    const { object, kernel } = device
    const volume = this.#ledger.volumeOf(object.poolId, object.name)
    if (volume === undefined) {
      this.#fail(`I4: ${object.name} is ${what} on ${kernel.name}, and belongs to no volume`)
      return undefined
    }
    const attachment = this.#ledger.attachmentOf(volume.id, kernel.nodeId)
    if (attachment === undefined) {
      this.#fail(`I4: ${object.name} is ${what} on ${kernel.name}, whose epoch is over`)
    } else if (attachment.mode === 'ro' && !device.readOnly) {
      this.#fail(`I4: ${object.name} is ${what} for writing on ${kernel.name}, which may only read`)
    }
    return attachment
  }

  /** I5: blank, recorded before, under a living epoch. */
  formatting(device: Device, uuid: string): void {
    const { object, kernel } = device
    if (object.content.kind !== 'blank') {
      this.#fail(`I5: mkfs of ${object.name} on ${kernel.name}, which is ${object.content.kind}`)
    }
    const attachment = this.#needAttachment(device, 'formatted')
    const format = this.#ledger.volumeOf(object.poolId, object.name)?.format
    if (format?.state !== 'formatting' || format.uuid !== uuid || format.epoch !== attachment?.epoch) {
      this.#fail(`I5: mkfs of ${object.name} with ${uuid}, the record says ${JSON.stringify(format)}`)
    }
  }

  /** A tool writes to the content. */
  changing(device: Device): void {
    this.#needAttachment(device, 'written to')
  }

  /** I5: what is mounted is what the record says. */
  mounting(device: Device): void {
    this.#needAttachment(device, 'mounted')
    const { content, name, poolId } = device.object
    const volume = this.#ledger.volumeOf(poolId, name)
    if (volume === undefined || content.kind !== 'fs') return
    const uuid = volume.format.state === 'formatted' ? volume.format.uuid : undefined
    if (volume.fs !== content.type || uuid !== content.uuid) {
      this.#fail(`I5: ${name} is mounted with ${content.type} ${content.uuid}, the record says ${volume.fs} ${uuid}`)
    }
    if (content.sizeMiB > device.object.sizeMiB) this.#fail(`I5: ${name}: its filesystem is larger than its object`)
  }

  /** A user is about to write. */
  writing(device: Device): void {
    this.#needAttachment(device, 'written to by a user')
  }

  #followAttachments({ changes }: DurableBatch): void {
    for (const change of changes) {
      if (change.kind !== 'attachment') continue
      if (change.before === undefined && change.after !== undefined) this.#newEpoch(change.after)
      if (change.before !== undefined && change.after === undefined) this.#proven(change.before)
    }
  }

  #newEpoch({ volumeId, epoch }: Attachment): void {
    const last = this.#epochs.get(volumeId) ?? 0
    if (epoch <= last) this.#fail(`I4: epoch ${epoch} of ${volumeId} follows ${last}`)
    this.#epochs.set(volumeId, epoch)
    const nodes = this.#ledger.all('attachment').filter((each) => each.volumeId === volumeId)
    const writers = nodes.filter((each) => each.mode === 'rw')
    if (writers.length > 0 && nodes.length > 1) this.#fail(`I4: ${volumeId} has ${nodes.length} attachments`)
  }

  /** An epoch counts as over from now on: then nothing of it may be left. */
  #proven({ volumeId, nodeId, epoch }: Attachment): void {
    const volume = this.#ledger.get('volume', volumeId)
    const kernel = this.#kernelOf(nodeId)
    if (volume === undefined || kernel === undefined) return
    const device = kernel.deviceOf(volume.poolId, volume.object)
    if (device !== undefined && !device.fenced && !device.quiet) {
      this.#fail(`I4: epoch ${epoch} of ${volume.object} counts as over, and ${kernel.name} has it attached`)
    }
  }
}
