/** What the double's commands do to its volumes. */
import { join } from 'node:path'
import type { Call } from './arguments.ts'
import { formatAndMount, makeImage, mountsOf, removeImage, setUp, takeDown, unmountAll } from './loop.ts'
import { type Match, matching } from './matches.ts'
import { logLine, newShape, oldShape, type Shown, stateOf, table } from './output.ts'
import type { State, Volume } from './state.ts'

/** REX-Ray's end by `log.Fatal`: what was done before is printed all the same. */
class Fatal extends Error {
  readonly done: unknown
  readonly fields: Readonly<Record<string, string>>

  constructor(message: string, done?: unknown, fields: Readonly<Record<string, string>> = {}) {
    super(message)
    this.done = done
    this.fields = fields
  }
}

export interface Answer {
  readonly stdout?: string
  readonly stderr?: string
  readonly code: number
}

export class Commands {
  private readonly directory: string
  private readonly state: State
  /** This machine's instance. */
  private readonly own: string

  constructor(directory: string, state: State, machine: string) {
    this.own = machine
    this.directory = directory
    this.state = state
  }

  run(call: Call): Answer {
    try {
      const result = this.dispatch(call)
      const text = typeof result === 'string' ? result : JSON.stringify(result, undefined, indentOf(call))
      return { stdout: text, code: 0 }
    } catch (thrown) {
      if (!(thrown instanceof Fatal)) throw thrown
      const stdout = thrown.done === undefined ? {} : { stdout: JSON.stringify(thrown.done) }
      return { ...stdout, stderr: logLine(thrown.message, thrown.fields), code: 1 }
    }
  }

  private dispatch(call: Call): unknown {
    if (call.noun === 'adapter') return call.verb === 'types' ? ADAPTER : this.instances()
    if (call.noun === 'device') return []
    switch (call.verb) {
      case 'ls':
      case 'get':
        return this.list(call)
      case 'create':
        return this.create(call)
      case 'rm':
      case 'remove':
        return this.remove(call)
      case 'attach':
        return this.attach(call)
      case 'detach':
        return this.detach(call)
      case 'mount':
        return this.mount(call)
      default:
        return this.unmount(call)
    }
  }

  private instances(): unknown {
    const instanceID = { id: this.own, driver: 'vfs', service: 'vfs' }
    if (this.state.options.grammar === '0.3')
      return [{ Name: '', ProviderName: 'vfs', InstanceID: this.own, Region: '' }]
    return { vfs: { instanceID, name: 'vfsInstance', providerName: '' } }
  }

  private list({ names, flags }: Call): unknown {
    const withPath = flags.has('path')
    const only = withPath || flags.has('attached') ? 2 : flags.has('available') ? 3 : undefined
    const listed = this.state.volumes.filter((each) => only === undefined || this.stateOf(each) === only)
    // Go prints a list that was never made as null
    const picked = names.length === 0 ? listed : matching(listed, names)?.map(({ volume }) => volume)
    if (this.state.options.grammar === '0.6' && !flags.has('format')) return table(picked ?? [], this.own)
    if (picked === undefined) return withPath ? [] : null
    return picked.map((volume) => this.show(volume, withPath ? { path: this.pathOf(volume) } : {}))
  }

  private create(call: Call): unknown {
    const { flags } = call
    const { uniqueNames, nameLength, capacity } = this.state.options
    const names = flags.has('volumename') ? [flags.get('volumename') ?? ''] : call.names
    const size = Number(flags.get('size') ?? 0)
    return names.map((asked) => {
      const name = nameLength === 0 ? asked : asked.slice(0, nameLength)
      if (flags.has('dryRun')) return newShape({ volume: { ...BLANK, name, size }, withDevice: false }, this.own)
      const fail = (error: string) => new Fatal('error creating volume', null, { error, volume: asked })
      if (uniqueNames && this.state.volumes.some((each) => each.name === name)) throw fail('volume name already exists')
      const used = this.state.volumes.reduce((sum, each) => sum + each.size, 0)
      if (capacity > 0 && used + size > capacity) throw fail('insufficient capacity in storage pool')
      const volume = {
        id: `vfs-${String(this.state.next++).padStart(3, '0')}`,
        ...{ name, size, attachments: [] },
        type: flags.get('volumeType') ?? flags.get('volumetype') ?? '',
        zone: flags.get('availabilityZone') ?? flags.get('availabilityzone') ?? '',
        iops: Number(flags.get('iops') ?? 0),
      }
      this.state.volumes.push(volume)
      if (this.isReal) makeImage(this.directory, volume.id, size)
      if (!flags.has('amount')) return this.show(volume)
      this.bring(volume)
      return this.show(volume, { path: this.mountOf(volume, flags.get('fsType')) })
    })
  }

  private remove(call: Call): unknown {
    const done: string[] = []
    for (const { volume, matched, exact } of this.matches(call, this.state.volumes)) {
      if (!exact) continue
      if (this.isReal && volume.attachments.length > 0) {
        throw new Fatal('error removing volume', done, { error: `${volume.id} is in use`, volume: matched })
      }
      this.state.volumes = this.state.volumes.filter((each) => each !== volume)
      removeImage(this.directory, volume.id)
      done.push(matched)
    }
    return done
  }

  private attach(call: Call): unknown {
    const [force, again] = [call.flags.has('force'), call.flags.has('idempotent')]
    const seen = this.state.volumes.filter((each) => {
      const state = this.stateOf(each)
      return force || state === 3 || (again && state === 2)
    })
    return this.certain(call, seen).map(({ volume }) => {
      if (this.stateOf(volume) !== 2) this.bring(volume)
      return this.show(volume)
    })
  }

  private detach(call: Call): unknown {
    const again = call.flags.has('idempotent')
    const seen = this.state.volumes.filter((each) => {
      const state = this.stateOf(each)
      // attached anywhere; with -i here or nowhere
      return again ? state !== 4 : state !== 3
    })
    return this.certain(call, seen).map(({ volume }) => {
      this.takeAway(volume, call.flags.has('force'))
      return this.show(volume)
    })
  }

  private mount(call: Call): unknown {
    const seen = this.state.volumes.filter((each) => this.stateOf(each) !== 4)
    return this.certain(call, seen).map(({ volume }) => {
      if (this.stateOf(volume) === 3) this.bring(volume)
      const path = this.mountOf(volume, call.flags.get('fsType'))
      return this.show(volume, { path, mountPoint: path })
    })
  }

  private unmount(call: Call): unknown {
    const again = call.flags.has('idempotent')
    const seen = this.state.volumes.filter((each) => this.stateOf(each) === 2 || (again && this.stateOf(each) === 3))
    return this.certain(call, seen).map(({ volume, matched }) => {
      const [attachment] = volume.attachments
      if (this.isReal && attachment !== undefined) {
        try {
          unmountAll(attachment.device)
        } catch {
          throw new Fatal('error unmounting volume', [], { error: 'target is busy', volume: matched })
        }
      }
      if (attachment !== undefined) this.takeAway(volume, false)
      return this.show(volume)
    })
  }

  /** @throws Fatal when nothing matches */
  private matches({ names, flags }: Call, volumes: readonly Volume[]): Match[] {
    const words = flags.has('volumeid') ? [flags.get('volumeid') ?? ''] : names
    const found = matching(volumes, words)
    if (found === undefined) throw new Fatal('no volumes found')
    return found
  }

  private certain(call: Call, volumes: readonly Volume[]): Match[] {
    return this.matches(call, volumes).filter(({ doubtful }) => !doubtful)
  }

  private bring(volume: Volume): void {
    for (const { device } of volume.attachments) takeDown(this.directory, device, true)
    const told = this.state.options.deviceName
    const device = told || (this.isReal ? setUp(this.directory, volume.id) : '/dev/xvda')
    volume.attachments = [{ instance: this.own, device }]
  }

  private takeAway(volume: Volume, force: boolean): void {
    for (const { device } of volume.attachments) takeDown(this.directory, device, force)
    volume.attachments = []
  }

  private mountOf(volume: Volume, fsType = 'ext4'): string {
    const target = this.targetOf(volume)
    const device = volume.attachments[0]?.device ?? ''
    return this.isReal ? formatAndMount(device, fsType, target) : join(target, 'data')
  }

  /** The recorded service forgets at once that it has mounted something. */
  private pathOf(volume: Volume): string {
    const [attachment] = volume.attachments
    if (!this.isReal || attachment === undefined || mountsOf(attachment.device).length === 0) return ''
    return join(this.targetOf(volume), 'data')
  }

  private targetOf({ name }: Volume): string {
    const { mountRoot } = this.state.options
    return this.isReal ? join(mountRoot, this.own, name) : join(mountRoot, name)
  }

  private show(volume: Volume, more: { path?: string; mountPoint?: string } = {}): object {
    const { grammar, tells } = this.state.options
    const shown: Shown = { volume, ...more, withDevice: tells === 'always' || more.path !== undefined }
    return grammar === '0.3' ? oldShape(shown, this.own) : newShape(shown, this.own)
  }

  private stateOf(volume: Volume): 2 | 3 | 4 {
    return stateOf(volume, this.own)
  }

  private get isReal(): boolean {
    return this.state.options.devices === 'loop'
  }
}

const BLANK: Volume = { id: '', name: '', size: 0, type: '', zone: '', iops: 0, attachments: [] }
const ADAPTER = {
  vfs: { name: 'vfs', driver: { name: 'vfs', type: 'object', nextDevice: { ignore: true, prefix: '', pattern: '' } } },
}

function indentOf({ flags }: Call): number | undefined {
  return flags.get('format') === 'jsonp' ? 2 : undefined
}
