/** Taking a lost node's access to a volume of a CSI plugin away. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ObjectHandle } from '../csi/object-handle.ts'
import type { CsiPlugin } from '../csi/plugin.ts'
import { HoldfastError } from '../model/errors.ts'
import type { CsiAttacher } from './csi-attacher.ts'
import type { NodeIdentity, PoolTarget } from './driver.ts'

const READ_BACK_MS = 10_000

export interface FenceParts {
  readonly pool: PoolTarget
  readonly plugin: CsiPlugin
  readonly attacher: CsiAttacher
  /** The plugin's name of this machine. */
  readonly nodeId: string
  readonly object: string
  readonly handle: ObjectHandle | undefined
  readonly machine: NodeIdentity
  readonly filesystems: { unmount(target: string, signal: AbortSignal): Promise<void> }
}

/**
 * The plugin names machines in its own way, and a lost one cannot be asked for its name: so the volume, which has one user
 * at a time, is taken from every machine but this one. What the plugin tells afterwards is the proof.
 */
export async function fence(parts: FenceParts, signal: AbortSignal): Promise<void> {
  const { pool, plugin, attacher, object, handle, machine, nodeId } = parts
  if (machine.id === pool.node.id && machine.bootId === pool.node.bootId) await leave(parts, signal)
  if (handle === undefined) {
    const text = `${object}: nobody was told by which id the plugin knows it, so it cannot be taken from anyone`
    throw new HoldfastError('unsupported', text, { object })
  }
  if (handle.kind === 'snapshot') return
  const ours = (await attacher.attached(object)).length > 0
  const others = async () => {
    const nodes = (await plugin.volume(handle, signal))?.nodes ?? []
    return nodes.filter((each) => !ours || each !== nodeId)
  }
  for (const node of await others()) await attacher.tearAway(handle.id, node, signal)
  const end = performance.now() + READ_BACK_MS
  for (let left = await others(); left.length > 0; left = await others()) {
    if (performance.now() >= end || signal.aborted) {
      const text = `the CSI plugin still has ${object} (${handle.id}) published on ${left.join(', ')}`
      throw new HoldfastError('still_mounted', text, { nodes: left })
    }
    await delay(100)
  }
}

/** An earlier life of this node had it. */
async function leave({ attacher, object, filesystems }: FenceParts, signal: AbortSignal): Promise<void> {
  for (const target of await attacher.mountsOf(object)) await filesystems.unmount(target, signal)
  await attacher.detach(object, signal)
}
