import type { Logger } from 'pino'
import type { Controller } from '../controller.ts'
import type { MesosView } from '../mesos/mesos-view.ts'
import type { Authenticator } from './auth.ts'
import type { Metrics } from './metrics.ts'

export interface Tls {
  /** PEM. */
  readonly key: string | Buffer
  /** PEM, with intermediate certificates if there are any. */
  readonly cert: string | Buffer
}

export interface ApiConfig {
  /** Absent: plain HTTP. */
  readonly tls?: Tls | undefined
}

/** What the REST door needs of the rest. */
export interface ApiParts {
  readonly controller: Controller
  readonly auth: Authenticator
  readonly log: Logger
  readonly metrics: Metrics
  readonly version: string
  /** Absent when no Mesos master is watched. */
  readonly mesos?: MesosView | undefined
  readonly config: ApiConfig
}

/** What every request may use besides. */
export interface Api extends ApiParts {
  /** Aborted when the door closes: waits end with what is known, streams end. */
  readonly closing: AbortSignal
}
