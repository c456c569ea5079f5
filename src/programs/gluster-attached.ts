/**
 * What is in use through a GlusterFS client, from the kernel's tables alone: the storage may not answer, the client may be
 * dead. A client is mounted at a place that is the node's own, so what lies below that place is told by its path.
 */
import { basename, dirname } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { CLIENT_TYPE } from './gluster-clients.ts'
import { isReadOnly, type LoopDevice, LoopDevices } from './loop-devices.ts'
import { type MountedAt, mountedAt } from './mount-table.ts'
import { mountsOfAllNamespaces } from './namespace-mounts.ts'
import { objectOfDirectory, objectOfFile } from './pool-paths.ts'
import type { Programs } from './run.ts'

/** A pool's part of a client. */
export interface ClientPart {
  readonly mountPoint: string
  /** Inside the volume, `/` for all of it. */
  readonly directory: string
}

export class GlusterAttached {
  private readonly loops: LoopDevices

  constructor(programs: Programs) {
    this.loops = new LoopDevices(programs)
  }

  /** Loop devices on image files, of one object or of all. */
  async images(part: ClientPart, object: string | undefined, signal: AbortSignal) {
    const found = await this.devices(part, object, signal)
    return found.map(({ path, device }) => ({ object: nameOf(path), device, readOnly: isReadOnly(device) }))
  }

  /** Directories that are mounted in this namespace: objects, each with its directory. */
  async directories(part: ClientPart, object: string | undefined): Promise<[string, string][]> {
    return this.binds(part, object, await mountedAt()).map(({ name }) => [name, `${pathIn(part)}${name}.dir/volume`])
  }

  /**
   * Detaches the loop devices of an object, and proves that its directory is mounted nowhere on this machine.
   * @throws still_mounted
   */
  async detach(part: ClientPart, object: string, signal: AbortSignal): Promise<void> {
    await this.loops.detach(await this.devices(part, object, signal), signal)
    const [held] = this.binds(part, object, mountsOfAllNamespaces())
    if (held === undefined) return
    const { target, pid } = held.mount
    const text = `${object} is still mounted at ${target} in the mount namespace of process ${pid}`
    throw new HoldfastError('still_mounted', text, { target, pid })
  }

  private async devices(part: ClientPart, object: string | undefined, signal: AbortSignal): Promise<LoopDevice[]> {
    const found: LoopDevice[] = []
    for (const entry of this.loops.list()) {
      const name = objectOfFile(basename(entry.path))
      if (name === undefined || (object ?? name) !== name) continue
      if (`${dirname(entry.path)}/` === pathIn(part) || (await this.isStray(part, entry, signal))) found.push(entry)
    }
    return found
  }

  /**
   * Whether a device is on a client whose mount point was taken away under it. The kernel then gives a path inside the
   * client; but so it does for a client in another mount namespace, which is another node's and is mounted there.
   */
  private async isStray(part: ClientPart, entry: LoopDevice, signal: AbortSignal): Promise<boolean> {
    if (dirname(entry.path) !== part.directory) return false
    const details = await this.loops.details(entry.device, signal)
    return details !== undefined && !mountsOfAllNamespaces().some((each) => each.filesystem === details.filesystem)
  }

  private binds<Mount extends MountedAt>(part: ClientPart, object: string | undefined, mounts: readonly Mount[]) {
    const own = mounts.findLast((each) => each.target === part.mountPoint && each.type === CLIENT_TYPE)
    const roots = new Set(mounts.flatMap(({ root, filesystem }) => (root === '/' ? [filesystem] : [])))
    return mounts.flatMap((mount) => {
      const name = mount.type === CLIENT_TYPE ? objectAt(part, mount.root) : undefined
      if (name === undefined || (object ?? name) !== name) return []
      // as above: of another client only what is left of one that was taken away
      return mount.filesystem === own?.filesystem || !roots.has(mount.filesystem) ? [{ name, mount }] : []
    })
  }
}

/** With a slash at its end. */
function pathIn({ mountPoint, directory }: ClientPart): string {
  return directory === '/' ? `${mountPoint}/` : `${mountPoint}${directory}/`
}

function nameOf(path: string): string {
  return objectOfFile(basename(path)) ?? ''
}

/** The object whose directory, or a part of it, has this path inside the volume. */
function objectAt({ directory }: ClientPart, root: string): string | undefined {
  const prefix = directory === '/' ? '/' : `${directory}/`
  return root.startsWith(prefix) ? objectOfDirectory(root.slice(prefix.length).split('/')[0] ?? '') : undefined
}
