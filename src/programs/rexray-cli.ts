/**
 * Calls of the REX-Ray command line for one service. Each call may take seconds and cost several calls to a cloud, so
 * they are spaced; those that change something run few at a time (REX-Ray picks the next device name by itself, and two
 * attaches at once pick the same); lists are shared by all who wait for one.
 */
import { HoldfastError } from '../model/errors.ts'
import { Lane, Pace, unlessAborted } from './call-limits.ts'
import { rexrayFailure } from './rexray-failure.ts'
import { RexrayGrammar } from './rexray-grammar.ts'
import type { RexraySettings } from './rexray-settings.ts'
import { parseArray, parseInstance, parseVolumes, type RexrayVolume } from './rexray-volumes.ts'
import type { Programs } from './run.ts'

/** One more list may begin while one is slow; more would only make a slow storage slower. */
const LISTS_AT_ONCE = 2

export interface KnownList {
  readonly volumes: readonly RexrayVolume[]
  /** When the list was asked for, by `performance.now`. */
  readonly at: number
}

/** Shared by all pools that are reached by the same program. */
export interface RexrayLimits {
  readonly pace: Pace
  readonly changes: Lane
}

export function rexrayLimits({ callsPerSecond, concurrency }: RexraySettings): RexrayLimits {
  return { pace: new Pace(callsPerSecond), changes: new Lane(concurrency) }
}

export class RexrayCli {
  private readonly programs: Programs
  private readonly settings: RexraySettings
  private readonly grammar: RexrayGrammar
  private readonly pace: Pace
  private readonly changes: Lane
  private readonly lists = new Lane(LISTS_AT_ONCE)
  private readonly closed = new AbortController()
  private readonly running = new Set<Promise<unknown>>()
  private next: Promise<readonly RexrayVolume[]> | undefined
  private last: KnownList | undefined
  private own: Promise<string> | undefined

  constructor(programs: Programs, settings: RexraySettings, limits: RexrayLimits) {
    this.programs = programs
    this.settings = settings
    this.grammar = new RexrayGrammar(settings)
    this.pace = limits.pace
    this.changes = limits.changes
  }

  /** The newest list that came, if the newest that was asked for did not fail. */
  get known(): KnownList | undefined {
    return this.last
  }

  /**
   * Every volume of the service, as of after this was called: who asks while a list is waiting for its turn shares it.
   * It goes on when a caller is cancelled, as others may wait for it.
   */
  async list(signal: AbortSignal): Promise<readonly RexrayVolume[]> {
    if (signal.aborted) throw new HoldfastError('cancelled', 'It was cancelled before rexray was asked for its volumes')
    this.next ??= this.newList()
    // nobody may be left to hear of its failure
    this.next.catch(() => undefined)
    return await unlessAborted(this.next, signal)
  }

  /** These volumes, as far as they are attached here, with device and mount point. */
  async paths(ids: readonly string[], signal: AbortSignal): Promise<RexrayVolume[]> {
    // 0.3 tells the device with every list, and never a mount point
    if (this.settings.grammar === '0.3') return (await this.list(signal)).filter(({ id }) => ids.includes(id))
    const found = parseVolumes(await this.call('volume ls', this.grammar.paths(ids), signal))
    return found.filter(({ id }) => ids.includes(id))
  }

  /** Makes a volume; the storage may already have one of this name. */
  async create(name: string, sizeGiB: number, signal: AbortSignal): Promise<RexrayVolume> {
    const output = await this.change('volume create', this.grammar.create(name, sizeGiB), signal)
    const made = this.settings.grammar === '0.3' ? await this.list(signal) : parseVolumes(output)
    const [volume] = made.filter((each) => each.name === name)
    if (volume !== undefined) return volume
    throw new HoldfastError('storage_failed', `rexray volume create ended well, but there is no volume ${name}`)
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    const output = await this.change('volume rm', this.grammar.remove(id), signal)
    if (this.settings.grammar === '0.3') return
    requireOnly('volume rm', id, parseArray(output).map(String))
  }

  /** @returns the volume as attached, without a device if that takes longer to appear */
  async attach(id: string, signal: AbortSignal): Promise<RexrayVolume | undefined> {
    const output = await this.change('volume attach', this.grammar.attach(id), signal)
    return this.settings.grammar === '0.3' ? undefined : onlyVolume('volume attach', id, output)
  }

  /** Its answer proves nothing: REX-Ray writes `available` into it by itself. Look at a list. */
  async detach(id: string, force: boolean, signal: AbortSignal): Promise<void> {
    const output = await this.change('volume detach', this.grammar.detach(id, force), signal)
    if (this.settings.grammar !== '0.3') onlyVolume('volume detach', id, output)
  }

  /** @returns the directory */
  async mount(id: string, signal: AbortSignal): Promise<string> {
    const output = await this.change('volume mount', this.grammar.mount(id), signal)
    const { path } = onlyVolume('volume mount', id, output)
    if (path !== undefined) return path
    throw new HoldfastError('storage_failed', `rexray volume mount ${id} ended well, but told no path`)
  }

  /** Unmounts and detaches. As with `detach`, the answer proves nothing. */
  async unmount(id: string, signal: AbortSignal): Promise<void> {
    const output = await this.change('volume unmount', this.grammar.unmount(id), signal)
    onlyVolume('volume unmount', id, output)
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    this.closed.abort()
    await Promise.allSettled(this.running)
  }

  private async newList(): Promise<readonly RexrayVolume[]> {
    const { signal } = this.closed
    return await this.lists.run(signal, async () => {
      await this.pace.turn(signal)
      // whoever asks from now on must not be answered with what is read already
      this.next = undefined
      const at = performance.now()
      try {
        const own = this.settings.grammar === '0.3' ? await this.instance(signal) : undefined
        const volumes = parseVolumes(await this.run('volume ls', this.grammar.list(), signal), own)
        if (this.last === undefined || this.last.at < at) this.last = { volumes, at }
        return volumes
      } catch (thrown) {
        this.last = undefined
        throw thrown
      }
    })
  }

  /** Does not change while the machine runs. */
  private instance(signal: AbortSignal): Promise<string> {
    this.own ??= this.run('adapter instances', this.grammar.instance(), signal)
      .then(parseInstance)
      .catch((thrown: unknown) => {
        this.own = undefined
        throw thrown
      })
    return this.own
  }

  private async change(what: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    return await this.changes.run(signal, () => this.call(what, args, signal))
  }

  private async call(what: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    await this.pace.turn(signal)
    return await this.run(what, args, signal)
  }

  private async run(what: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    const { command, timeoutSeconds } = this.settings
    const either = AbortSignal.any([signal, this.closed.signal])
    const running = this.programs.run(command, args, {
      signal: either,
      deadlineMs: timeoutSeconds * 1000,
      accept: [0, 1],
    })
    this.running.add(running)
    const result = await running.finally(() => this.running.delete(running))
    const failure = rexrayFailure(what, result)
    if (failure !== undefined) throw failure
    return result.stdout
  }
}

function onlyVolume(what: string, id: string, output: string): RexrayVolume {
  const volumes = parseVolumes(output)
  requireOnly(
    what,
    id,
    volumes.map((volume) => volume.id),
  )
  return volumes[0] as RexrayVolume
}

/** A call that acted on nothing, or on another volume as well, has not done what was asked. */
function requireOnly(what: string, id: string, acted: readonly string[]): void {
  if (acted.length === 1 && acted[0] === id) return
  const on = acted.length === 0 ? 'no volume' : acted.join(', ')
  throw new HoldfastError('storage_failed', `rexray ${what} ${id} acted on ${on}`, { id, acted: [...acted] })
}
