/** The CHECKs of Mesos that a resource provider can run into. Line numbers are of Mesos c1b42f79d. */
export interface Abort {
  /** `master`, or the hostname of an agent. */
  readonly who: string
  /** 1 to 9: as live trials counted them. 10 and above: further ones that stand in the source beside those. */
  readonly number: number
  readonly site: string
  readonly message: string
  /** What provoked it: an operation, a provider, a framework. */
  readonly cause: string
  /** Known from the source only; no trial has seen it. */
  readonly source?: boolean
  /** Milliseconds since the epoch. */
  readonly at: number
}

export interface Site {
  readonly number: number
  readonly site: string
  readonly check: string
  readonly source?: boolean
}

export const SITES = {
  agentApplySpeculative: { number: 1, site: 'slave.cpp:9382', check: 'CHECK_SOME(resources)' },
  agentApplyFinished: { number: 2, site: 'slave.cpp:9382', check: 'CHECK_SOME(resources)' },
  agentStateOfUnknownProvider: { number: 3, site: 'slave.cpp:8777', check: 'CHECK(resourceProvider)' },
  agentAcknowledgedAfterDisconnect: {
    number: 4,
    site: 'slave.cpp:9273',
    check: "CHECK_NOTNULL(resourceProvider) 'resourceProvider' Must be non NULL",
  },
  masterOperationWithoutAgent: {
    number: 5,
    site: 'master.cpp:10520',
    check: 'External resource provider is not supported yet',
  },
  masterUnknownProvider: { number: 6, site: 'master.cpp:11714', check: 'Resource provider is unknown' },
  masterOrphanOperation: { number: 7, site: 'master.cpp:12854', check: 'Unknown resources from orphan operation' },
  masterUnknownPending: {
    number: 8,
    site: 'master.cpp:7730',
    check: 'Agent tried to reconcile unknown non-terminal operation',
    source: true,
  },
  agentUnsupportedSource: { number: 9, site: 'paths.cpp:799', check: 'Unsupported DiskInfo.Source.type' },
  agentOperationForUnknownProvider: {
    number: 10,
    site: 'slave.cpp Slave::addOperation',
    check: 'CHECK_NOTNULL(resourceProvider)',
    source: true,
  },
  masterApply: { number: 11, site: 'master.cpp Slave::apply', check: 'CHECK_SOME(resources)', source: true },
} as const satisfies Record<string, Site>

export type SiteName = keyof typeof SITES

/** Ends the turn of the process in which it is thrown, and the process. */
export class CheckFailure extends Error {
  readonly site: Site
  override readonly cause: string

  constructor(site: Site, detail: string, cause: string) {
    super(`Check failed: ${site.check}${detail === '' ? '' : `: ${detail}`}`)
    this.site = site
    this.cause = cause
  }
}

export class Hazards {
  readonly #on: boolean

  constructor(on: boolean) {
    this.#on = on
  }

  /** @returns the condition @throws CheckFailure when it does not hold and hazards are on */
  check(condition: boolean, name: SiteName, detail: string, cause: string): boolean {
    if (!condition && this.#on) throw new CheckFailure(SITES[name], detail, cause)
    return condition
  }
}

export function abortOf(who: string, failure: CheckFailure): Abort {
  const { number, site, source } = failure.site
  const { message, cause } = failure
  return { who, number, site, message, cause, ...(source === undefined ? {} : { source }), at: Date.now() }
}
