import { extname, join } from 'node:path'
import type { Logger } from 'pino'
import { readAgentAccess } from '../doors/mesos/agent-access.ts'
import { HOLDER_LIMITS, Holder } from '../doors/mesos/holder/holder.ts'
import { HolderJournal } from '../doors/mesos/holder/holder-journal.ts'
import { SoleOwner } from '../doors/mesos/holder/sole-owner.ts'
import { type LogicSettings, PUBLISH_SECONDS } from '../doors/mesos/logic/settings.ts'
import { RestartedChild } from '../programs/restarted-child.ts'
import { prepareDirectory } from '../store/sqlite/directory.ts'
import { DirectoryLock } from '../store/sqlite/lock.ts'

/** The logic's program, as source or as built. */
const LOGIC = new URL(`../doors/mesos/logic/logic-child${extname(import.meta.url)}`, import.meta.url)

export interface ProviderOptions extends Omit<LogicSettings, 'logLevel' | 'tokenFile'> {
  readonly state: string
  /** The node daemon's state directory, where its credential is. */
  readonly credential: string
  readonly log: Logger
  /** How long a planned stop may take, ms. */
  readonly stopMs?: number
}

export interface RunningProvider {
  /** Withdraws in good order, then goes. @param now ends the patience */
  stop(now?: AbortSignal): Promise<void>
  /** The inner half begins anew, perhaps of a newer version; the connections to the agent stay. */
  restartLogic(): void
}

const STOP_MS = 60_000
const AFTER_LOGIC_MS = 5000

/** Composes a machine's provider for Mesos and starts it. What was opened is closed in reverse order. */
export async function runProvider(options: ProviderOptions): Promise<RunningProvider> {
  const closers: (() => Promise<unknown> | unknown)[] = []
  const close = async () => {
    for (const each of closers.splice(0).reverse()) await each()
  }
  try {
    const holder = await compose(options, closers)
    return {
      restartLogic: () => holder.restartLogic(),
      stop: async (now = new AbortController().signal) => {
        const left = await holder.stop(options.stopMs ?? STOP_MS, now)
        for (const sentence of left) options.log.warn({ event: 'stop.unacknowledged' }, sentence)
        await close()
      },
    }
  } catch (thrown) {
    await close()
    throw thrown
  }
}

async function compose(options: ProviderOptions, closers: (() => Promise<unknown> | unknown)[]): Promise<Holder> {
  const { log, state, credential, stopMs: _, ...settings } = options
  const files = { credential: settings.agentCredential, ca: settings.agentCa }
  // said here, where somebody reads it, and not at each start of the logic
  readAgentAccess(files)
  const directory = prepareDirectory(state)
  const lock = new DirectoryLock(directory, 'provider')
  closers.push(() => lock.release())
  const owner = await SoleOwner.of(settings.agent)
  closers.push(() => owner.release())
  const journal = new HolderJournal(join(directory, 'journal.db'))
  closers.push(() => journal.close())
  const holder = new Holder({
    journal,
    logic: (events) => new RestartedChild({ ...events, module: LOGIC, onLine: (line) => passOn(line, log) }),
    settings: {
      ...settings,
      tokenFile: join(credential, 'node.token'),
      logLevel: log.level,
    } satisfies LogicSettings,
    access: () => readAgentAccess(files),
    limits: { publishMs: publishLimit(settings.publishSeconds) },
    log: (event, data) => log.info({ event, ...data }, event),
  })
  closers.push(() => holder.close())
  holder.start()
  return holder
}

/** The holder's word for a logic that does not answer comes after the logic's own, and before Mesos' users lose patience. */
function publishLimit(seconds = PUBLISH_SECONDS): number {
  return Math.min(HOLDER_LIMITS.publishMs, seconds * 1000 + AFTER_LOGIC_MS)
}

/** The logic writes the same kind of log; what else it says is its last words. */
function passOn(line: string, log: Logger): void {
  const entry = line.startsWith('{') ? parsed(line) : undefined
  if (entry === undefined) {
    if (line !== '') log.warn({ event: 'logic.stderr', line: line.slice(0, 2000) }, 'logic.stderr')
    return
  }
  const { level, time: _t, pid: _p, hostname: _h, msg, ...data } = entry
  const { [Number(level)]: name = 'info' } = log.levels.labels
  log[name as 'info'](data, String(msg))
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined // cut off by its end
  }
}
