import { saysAbsent, saysNotMounted } from '../../docker-plugin/absent.ts'
import { quote } from '../../model/units.ts'
import type { Asked } from './arguments.ts'
import { failed, oneLine } from './failure.ts'
import type { Method, Plugin } from './plugin.ts'
import { Refused, type Reply } from './reply.ts'
import type { Settings } from './settings.ts'

/** What Get says of a volume; `unknown` where the driver has no Get (Docker before 1.10). */
type Found = { readonly is: 'there'; readonly volume: Reply } | { readonly is: 'absent' } | { readonly is: 'unknown' }

export interface CommandParts {
  readonly asked: Asked
  readonly settings: Pick<Settings, 'implicitCreate' | 'absentWords' | 'file'>
  readonly plugin: Plugin
  /** How long `mount` waits for what passes by itself, ms. */
  readonly patienceMs: number
}

/** Codes with which Holdfast's own plugin ends a sentence when its controller is away. */
const PASSING = /\[(?:unreachable|not_ready|overloaded|unknown_outcome)\]$/

/** The commands that call a driver. Each answers with what goes to stdout. @throws Failure */
export class Commands {
  readonly #parts: CommandParts

  constructor(parts: CommandParts) {
    this.#parts = parts
  }

  async run(): Promise<string> {
    const { plugin, asked } = this.#parts
    try {
      if (asked.command === 'mount') return await this.#mount()
      await plugin.activate()
      return await this.#command()
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown
      const what = asked.volume === '' ? '' : ` of volume ${quote(asked.volume)}`
      throw failed(`${asked.command}${what} was refused by driver ${quote(asked.driver)}: ${thrown.message}`)
    }
  }

  #command(): Promise<string> {
    switch (this.#parts.asked.command) {
      case 'create':
        return this.#create()
      case 'remove':
        return this.#remove()
      case 'unmount':
        return this.#unmount()
      case 'path':
        return this.#path()
      case 'get':
        return this.#get()
      default:
        return this.#list()
    }
  }

  async #create(): Promise<string> {
    const { options } = this.#parts.asked
    await this.#ask('Create', { Opts: options })
    return ''
  }

  async #remove(): Promise<string> {
    this.#need(await this.#find())
    await this.#ask('Remove')
    return ''
  }

  /** Also where it is mounted already: the isolator of Mesos asks once for every container. */
  async #mount(): Promise<string> {
    const found = await this.#findAtOnce()
    if (this.#makes(found)) await this.#make()
    const { Mountpoint: path } = await this.#ask('Mount')
    if (typeof path !== 'string' || !/^\/[^\n\r]*$/.test(path)) {
      throw failed(`driver ${this.#driver} has answered Mount without an absolute path: ${quote(oneLine(`${path}`))}`)
    }
    return `${path}\n`
  }

  /** Whether the volume has to be made first. @throws Failure when it is not there and may not be made */
  #makes(found: Found): boolean {
    const { asked, settings } = this.#parts
    if (found.is === 'there') return false
    if (!asked.explicit && settings.implicitCreate) return true
    // without a Get there is only Mount to tell
    if (found.is === 'unknown') return false
    const why = asked.explicit ? '--explicitcreate was given' : `${settings.file} says implicitCreate: false`
    throw failed(`${this.#absent()}, and mount makes none because ${why}; make it with dvdcli create`)
  }

  /** What somebody else made at the same moment is as good. */
  async #make(): Promise<void> {
    try {
      await this.#create()
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown
      const found = await this.#find().catch(() => undefined)
      if (found?.is !== 'there') throw thrown
    }
  }

  /** What is not mounted, or not there, needs no unmounting: the isolator also asks after a mount that failed. */
  async #unmount(): Promise<string> {
    try {
      await this.#ask('Unmount')
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown
      if (!this.#isAbsence(thrown) && !saysNotMounted(thrown.message)) throw thrown
    }
    return ''
  }

  /** Nothing is printed for a volume that is not mounted. */
  async #path(): Promise<string> {
    const found = await this.#find()
    const known = found.is === 'unknown' ? undefined : this.#need(found).Mountpoint
    if (isFilled(known)) return `${known}\n`
    try {
      const { Mountpoint: path } = await this.#ask('Path')
      return isFilled(path) ? `${path}\n` : ''
    } catch (thrown) {
      if (thrown instanceof Refused && saysNotMounted(thrown.message)) return ''
      throw thrown
    }
  }

  async #get(): Promise<string> {
    const found = await this.#find()
    if (found.is === 'unknown') throw failed(`driver ${this.#driver} cannot tell which volumes it has: it has no Get`)
    const { Name: name } = this.#need(found)
    return `${isFilled(name) ? name : this.#parts.asked.volume}\n`
  }

  async #list(): Promise<string> {
    const { Volumes: volumes } = await this.#parts.plugin.ask('List', {})
    if (volumes === null || volumes === undefined) return ''
    if (!Array.isArray(volumes)) throw failed(`driver ${this.#driver} has answered List without a list`)
    return volumes.map((volume) => `${(volume as Reply | null)?.Name ?? ''}\n`).join('')
  }

  /** @throws Refused when the driver could not say, too: that is no absence */
  async #find(): Promise<Found> {
    try {
      const { Volume: volume } = await this.#ask('Get')
      if (volume === null || volume === undefined) return { is: 'absent' }
      if (typeof volume === 'object') return { is: 'there', volume: volume as Reply }
      throw failed(`driver ${this.#driver} has answered Get with a Volume that is no object`)
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown
      if (this.#isAbsence(thrown)) return { is: 'absent' }
      if (thrown.status === 404) return { is: 'unknown' }
      throw thrown
    }
  }

  /**
   * The handshake comes first only where it tells something: a plugin that shows a volume is a volume driver. Every
   * container waits for this.
   */
  async #findAtOnce(): Promise<Found> {
    const found = await this.#find().catch((thrown) => {
      if (thrown instanceof Refused) return undefined
      throw thrown
    })
    if (found?.is === 'there') return found
    await this.#parts.plugin.activate()
    return this.#findPatiently()
  }

  async #findPatiently(): Promise<Found> {
    const end = performance.now() + this.#parts.patienceMs
    for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
      try {
        return await this.#find()
      } catch (thrown) {
        if (!(thrown instanceof Refused && PASSING.test(thrown.message)) || performance.now() > end) throw thrown
        await new Promise((wake) => setTimeout(wake, pause))
      }
    }
  }

  /** @throws Failure when there is none */
  #need(found: Found): Reply {
    if (found.is === 'absent') throw failed(this.#absent())
    return found.is === 'there' ? found.volume : {}
  }

  #absent(): string {
    return `driver ${this.#driver} has no volume ${quote(this.#parts.asked.volume)}`
  }

  #isAbsence({ message }: Refused): boolean {
    const { asked, settings } = this.#parts
    return saysAbsent(message, asked.volume, settings.absentWords)
  }

  #ask(method: Method, more: object = {}): Promise<Reply> {
    const { plugin, asked } = this.#parts
    return plugin.ask(method, { Name: asked.volume, ...more })
  }

  get #driver(): string {
    return quote(this.#parts.asked.driver)
  }
}

function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
