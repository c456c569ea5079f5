/** Bringing a volume of a CSI plugin to this machine, and taking it back: each call may be repeated. */
import type { VolumeHandle } from './object-handle.ts'
import type { CsiPlugin } from './plugin.ts'
import { orAbsent } from './plugin-call.ts'

export interface NodePaths {
  /** An empty directory. */
  readonly staging: string
  /** In a directory that is there; the plugin makes it. */
  readonly target: string
}

export class PluginNode {
  readonly #plugin: CsiPlugin

  constructor(plugin: CsiPlugin) {
    this.#plugin = plugin
  }

  /** ControllerPublish, NodeStage, NodePublish, as far as the plugin has them. */
  async bring(handle: VolumeHandle, paths: NodePaths, readOnly: boolean, signal: AbortSignal): Promise<void> {
    const { node } = await this.#plugin.facts(signal)
    const reading = readOnly && (await this.#plugin.hasReaders(handle, signal))
    const publishContext = await this.#publishTo(handle, reading, signal)
    const { secrets, node: calls } = this.#plugin
    const common = {
      volumeId: handle.id,
      publishContext,
      volumeContext: handle.context,
      volumeCapability: this.#plugin.capability(reading),
    }
    const staged = node.has('STAGE_UNSTAGE_VOLUME')
    if (staged) {
      const request = { ...common, stagingTargetPath: paths.staging, secrets: await secrets.for('nodeStage') }
      await this.#plugin.change(`NodeStageVolume ${handle.id}`, signal, (o) => calls.nodeStageVolume(request, o))
    }
    const request = {
      ...common,
      stagingTargetPath: staged ? paths.staging : '',
      targetPath: paths.target,
      // the device of one that was staged for writing is made read-only by us: plugins need not be able to
      readonly: readOnly && (reading || this.#plugin.settings.mode === 'mount'),
      secrets: await secrets.for('nodePublish'),
    }
    await this.#plugin.change(`NodePublishVolume ${handle.id}`, signal, (o) => calls.nodePublishVolume(request, o))
  }

  async #publishTo(handle: VolumeHandle, reading: boolean, signal: AbortSignal): Promise<Record<string, string>> {
    const { controller, nodeId } = await this.#plugin.facts(signal)
    if (!controller.has('PUBLISH_UNPUBLISH_VOLUME')) return {}
    const request = {
      volumeId: handle.id,
      nodeId,
      volumeCapability: this.#plugin.capability(reading),
      readonly: reading && controller.has('PUBLISH_READONLY'),
      volumeContext: handle.context,
      secrets: await this.#plugin.secrets.for('controllerPublish'),
    }
    const what = `ControllerPublishVolume ${handle.id}`
    const answer = await this.#plugin.change(what, signal, (o) =>
      this.#plugin.controller.controllerPublishVolume(request, o),
    )
    return answer.publishContext
  }

  async unpublish(volumeId: string, { target }: NodePaths, signal: AbortSignal): Promise<void> {
    const { node } = this.#plugin
    const request = { volumeId, targetPath: target }
    await orAbsent(
      this.#plugin.change(`NodeUnpublishVolume ${volumeId}`, signal, (o) => node.nodeUnpublishVolume(request, o)),
    )
  }

  async unstage(volumeId: string, { staging }: NodePaths, signal: AbortSignal): Promise<void> {
    const facts = await this.#plugin.facts(signal)
    if (!facts.node.has('STAGE_UNSTAGE_VOLUME')) return
    const { node } = this.#plugin
    const request = { volumeId, stagingTargetPath: staging }
    await orAbsent(
      this.#plugin.change(`NodeUnstageVolume ${volumeId}`, signal, (o) => node.nodeUnstageVolume(request, o)),
    )
  }

  /** @param nodeId the plugin's name of a machine; this one if not given */
  async unpublishFrom(volumeId: string, signal: AbortSignal, nodeId?: string): Promise<void> {
    const facts = await this.#plugin.facts(signal)
    if (!facts.controller.has('PUBLISH_UNPUBLISH_VOLUME')) return
    const secrets = await this.#plugin.secrets.for('controllerUnpublish')
    const request = { volumeId, nodeId: nodeId ?? facts.nodeId, secrets }
    await orAbsent(
      this.#plugin.change(`ControllerUnpublishVolume ${volumeId}`, signal, (o) =>
        this.#plugin.controller.controllerUnpublishVolume(request, o),
      ),
    )
  }

  /** Tells the node that a volume has grown. */
  async expand(handle: VolumeHandle, paths: NodePaths, sizeMiB: number, signal: AbortSignal): Promise<void> {
    const facts = await this.#plugin.facts(signal)
    if (!facts.node.has('EXPAND_VOLUME')) return
    const { node, secrets } = this.#plugin
    const request = {
      volumeId: handle.id,
      volumePath: paths.target,
      stagingTargetPath: facts.node.has('STAGE_UNSTAGE_VOLUME') ? paths.staging : '',
      capacityRange: { requiredBytes: BigInt(sizeMiB) * 1024n * 1024n },
      volumeCapability: this.#plugin.capability(false),
      secrets: await secrets.for('nodeExpand'),
    }
    await this.#plugin.change(`NodeExpandVolume ${handle.id}`, signal, (o) => node.nodeExpandVolume(request, o))
  }
}
