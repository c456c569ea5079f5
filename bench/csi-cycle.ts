import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { GrpcChannel } from '../src/csi/client.ts'
import { Controller, VolumeCapability_AccessMode_Mode as Mode, Node } from '../src/csi/generated/csi/v1/csi_pb.js'

const CALL = { deadlineMs: 60_000 }
const MIB = 1024n * 1024n

export interface Cycler {
  /** Makes a volume, uses it as a container would, and deletes it. */
  cycle(worker: number): Promise<void>
  /** How long each call took, ms. */
  readonly samples: ReadonlyMap<string, number[]>
  /** Forgets what was measured so far. */
  forget(): void
  close(): void
}

/** @param socket of the plugin, with all of its services */
export function csiCycler(socket: string, directory: string, sizeMiB: number): Cycler {
  const channel = new GrpcChannel(socket)
  const controller = channel.client(Controller)
  const node = channel.client(Node)
  const samples = new Map<string, number[]>()
  let made = 0
  const timed = async <T>(name: string, call: Promise<T>): Promise<T> => {
    const start = performance.now()
    const answer = await call
    const taken = samples.get(name) ?? []
    samples.set(name, taken)
    taken.push(performance.now() - start)
    return answer
  }
  const volumeCapability = {
    accessType: { case: 'mount' as const, value: {} },
    accessMode: { mode: Mode.SINGLE_NODE_WRITER },
  }
  return {
    samples,
    forget: () => samples.clear(),
    close: () => channel.close(),
    async cycle(worker) {
      made += 1
      const capacityRange = { requiredBytes: BigInt(sizeMiB) * MIB }
      const request = { name: `bench-${made}`, capacityRange, volumeCapabilities: [volumeCapability] }
      const { volume } = await timed('CreateVolume', controller.createVolume(request, CALL))
      const volumeId = volume?.volumeId ?? ''
      const stagingTargetPath = join(directory, `csi-${worker}`, 'staging')
      const targetPath = join(directory, `csi-${worker}`, 'target')
      mkdirSync(stagingTargetPath, { recursive: true })
      const on = { volumeId, nodeId: 'node-1' }
      const { publishContext } = await timed(
        'ControllerPublishVolume',
        controller.controllerPublishVolume({ ...on, volumeCapability }, CALL),
      )
      const stage = { volumeId, stagingTargetPath, volumeCapability, publishContext }
      await timed('NodeStageVolume', node.nodeStageVolume(stage, CALL))
      await timed('NodePublishVolume', node.nodePublishVolume({ ...stage, targetPath }, CALL))
      await timed('NodeUnpublishVolume', node.nodeUnpublishVolume({ volumeId, targetPath }, CALL))
      await timed('NodeUnstageVolume', node.nodeUnstageVolume({ volumeId, stagingTargetPath }, CALL))
      await timed('ControllerUnpublishVolume', controller.controllerUnpublishVolume(on, CALL))
      await timed('DeleteVolume', controller.deleteVolume({ volumeId }, CALL))
    },
  }
}
