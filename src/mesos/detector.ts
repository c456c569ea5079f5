import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import { Backoff } from './backoff.ts'
import { type Election, openElection } from './election.ts'
import type { MesosHttp } from './http.ts'
import { findLeader, type Master } from './leading-master.ts'
import { type MasterSpec, parseMasterSpec } from './master-spec.ts'
import { Waker } from './waker.ts'

/** What is known of the leading master: who it is, or why there is none. */
export type Detection =
  | { readonly master: Master; readonly problem?: undefined }
  | { readonly master?: undefined; readonly problem: HoldfastError }

export interface DetectorOptions {
  readonly clock: Clock
  /** Asks the masters; carries credentials and the certificate authority. The caller closes it. */
  readonly http: MesosHttp
  /** Whether masters that ZooKeeper names are spoken to by TLS. */
  readonly tls?: boolean
  readonly onChange: (detection: Detection) => void
}

/** Between two looks, however often ZooKeeper says that something changed. */
const MIN_PAUSE_MS = 100
const FIRST_BACKOFF_MS = 250
const MAX_BACKOFF_MS = 15_000

/**
 * Finds the leading master and follows changes until closed.
 * @param spec as `parseMasterSpec` reads it
 * @throws invalid_option
 */
export function detectMaster(spec: string, options: DetectorOptions): MasterDetector {
  return new MasterDetector(parseMasterSpec(spec), options)
}

export class MasterDetector {
  readonly #options: DetectorOptions
  readonly #election: Election
  readonly #waker: Waker
  readonly #backoff = new Backoff(FIRST_BACKOFF_MS, MAX_BACKOFF_MS)
  readonly #abort = new AbortController()
  /** One function, so that watching again adds nothing. */
  readonly #onChange = () => this.recheck()
  readonly #loop: Promise<void>
  #detection: Detection | undefined

  constructor(spec: MasterSpec, options: DetectorOptions) {
    this.#options = options
    this.#election = openElection(spec, options.clock, options.tls === true ? 'https' : 'http')
    this.#waker = new Waker(options.clock)
    this.#loop = this.#run()
  }

  /** The leading master's address, as far as is known. */
  get url(): string | undefined {
    return this.#detection?.master?.url
  }

  /**
   * The addresses of every master that is known, the leading one among them.
   * @throws mesos_unreachable, mesos_protocol
   */
  standing(): Promise<readonly (readonly string[])[]> {
    return this.#election.standing()
  }

  /** Somebody found that the master does not lead any more, or does not answer: looks again soon. */
  recheck(): void {
    this.#waker.wake()
  }

  async close(): Promise<void> {
    this.#abort.abort(new HoldfastError('cancelled', 'looking for the master was ended'))
    this.#election.close()
    this.#waker.wake()
    await this.#loop
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      const pause = await this.#look()
      await this.#pause(MIN_PAUSE_MS)
      if (!this.#abort.signal.aborted) await this.#waker.sleep(pause)
    }
  }

  /** Looks once; gives the time after which to look again. */
  async #look(): Promise<number> {
    try {
      const urls = await this.#election.candidates(this.#onChange)
      this.#tell({ master: await this.#leaderAmong(urls) })
      this.#backoff.reset()
      return this.#election.lookAgainMs
    } catch (thrown) {
      const master = await this.#stillLeading()
      this.#tell(master === undefined ? { problem: asHoldfastError(thrown) } : { master })
      return this.#backoff.next()
    }
  }

  /** A ZooKeeper that is away does not change who leads: the last known master may confirm it still. */
  async #stillLeading(): Promise<Master | undefined> {
    if (this.url === undefined) return undefined
    return findLeader(this.#options.http, this.url, this.#abort.signal).catch(() => undefined)
  }

  async #leaderAmong(urls: readonly string[]): Promise<Master> {
    const failures: HoldfastError[] = []
    for (const url of urls) {
      try {
        return await findLeader(this.#options.http, url, this.#abort.signal)
      } catch (thrown) {
        failures.push(asHoldfastError(thrown))
      }
    }
    const [first] = failures
    if (first === undefined || failures.length === 1) throw first ?? new HoldfastError('internal', 'no master to ask')
    throw new HoldfastError(first.code, failures.map(({ message }) => message).join('; '))
  }

  #tell(detection: Detection): void {
    if (this.#abort.signal.aborted || same(this.#detection, detection)) return
    this.#detection = detection
    this.#options.onChange(detection)
  }

  /** Cannot be cut short, so that a server that cries change without end is asked ten times a second and no more. */
  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#options.clock.after(ms, resolve)
    })
  }
}

function same(a: Detection | undefined, b: Detection): boolean {
  if (a?.master !== undefined && b.master !== undefined)
    return a.master.url === b.master.url && a.master.id === b.master.id
  return a?.problem !== undefined && a.problem.message === b.problem?.message
}
