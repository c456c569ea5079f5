import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { Controller } from '../controller/controller.ts'
import { createApi } from '../controller/http/api.ts'
import { Authenticator, adminToken } from '../controller/http/auth.ts'
import { listen } from '../controller/http/listen.ts'
import { logEvents } from '../controller/http/log.ts'
import { Metrics } from '../controller/http/metrics.ts'
import { forgetGuard } from '../controller/mesos/guard-watch.ts'
import type { MasterSettings } from '../controller/mesos/master-watch.ts'
import { MesosWatch } from '../controller/mesos/watch.ts'
import type { HoldfastError } from '../model/errors.ts'
import { createIds } from '../runtime/ids.ts'
import { systemClock } from '../runtime/system-clock.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import { VERSION } from './version.ts'

export interface ControllerOptions {
  readonly state: string
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Files in PEM. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  readonly insecure: boolean
  readonly leaseMs: number
  /** Trust the wall clock at start, however long the controller was away. */
  readonly trustClock?: boolean
  /** At most so long may any step run before it is said to be overdue, ms; by default each kind has its own time. */
  readonly overdueMs?: number | undefined
  /** The Mesos that is shown pools; only with masters somebody looks at them. */
  readonly mesos?: MesosSettings | undefined
  readonly log: Logger
}

export interface MesosSettings extends Omit<MasterSettings, 'masters'> {
  readonly masters?: string | undefined
}

export interface RunningController {
  readonly controller: Controller
  /** Base URL of the API. */
  readonly api: string
  /** The admin's token. */
  readonly token: string
  /** Finishes the answers under way, then stops. */
  stop(): Promise<void>
}

/** Composes a controller of real parts and starts it. What was opened is closed in reverse order. */
export async function runController(options: ControllerOptions): Promise<RunningController> {
  const closers: (() => Promise<unknown> | unknown)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    return { ...(await compose(options, closers)), stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

async function compose(
  options: ControllerOptions,
  closers: (() => Promise<unknown> | unknown)[],
): Promise<Omit<RunningController, 'stop'>> {
  const { log } = options
  const metrics = new Metrics({ ofProcess: true })
  const store = metrics.measured(await openSqliteStore({ directory: options.state }))
  closers.push(() => store.close())
  const controller = new Controller({
    store,
    clock: systemClock,
    newId: createIds(systemClock),
    newUuid: randomUUID,
    leaseMs: options.leaseMs,
    trustClock: options.trustClock === true,
    overdueMs: options.overdueMs,
    ...(options.mesos === undefined ? {} : { mesosPrincipal: options.mesos.principal }),
    onState: (state, error) => {
      const why = error === undefined ? {} : { code: error.code, message: error.message }
      log[error === undefined ? 'info' : 'error']({ event: `controller.${state}`, ...why }, `controller.${state}`)
    },
  })
  closers.push(logEvents(controller.engine, log), metrics.observe(controller))
  await controller.start()
  closers.push(() => controller.stop())
  const mesos = await watchMesos(controller, options)
  closers.push(() => mesos?.close())
  const token = await adminToken(options.state)
  const tls =
    options.tls === undefined ? undefined : { cert: readFileSync(options.tls.cert), key: readFileSync(options.tls.key) }
  const auth = new Authenticator(controller.engine, token)
  const app = createApi({ controller, auth, log, metrics, mesos, version: VERSION, config: { tls } })
  closers.push(() => app.close())
  const { host, port, insecure } = options
  const api = await listen(app, { host, port, tls: tls !== undefined, insecure })
  log.info({ event: 'controller.listening', api, state: options.state }, 'controller.listening')
  return { controller, api, token }
}

async function watchMesos({ engine }: Controller, { mesos, log }: ControllerOptions): Promise<MesosWatch | undefined> {
  if (mesos?.masters !== undefined) {
    return new MesosWatch({ engine, clock: systemClock, log, settings: { ...mesos, masters: mesos.masters } })
  }
  // one that has just stepped down leads again, and what it finds then was there before
  await forgetGuard(engine).catch((error: HoldfastError) => log.warn({ event: 'mesos.guard', message: error.message }))
  return undefined
}
