import { type DestinationStream, type Logger, pino } from 'pino'
import type { Engine } from '../engine.ts'

const SECRETS = ['authorization', '*.authorization', 'headers.authorization', 'secret', '*.secret', 'token', '*.token']

/** A log of JSON lines; what could be a credential is never written. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, redact: { paths: SECRETS, censor: '[redacted]' }, base: null }
  return destination === undefined ? pino(options) : pino(options, destination)
}

/** Events that a quiet system makes all the time. */
const QUIET: ReadonlySet<string> = new Set([
  'clock.ticked',
  'keys.expired',
  'operations.pruned',
  'pool.reported',
  'node.reach',
])

/** Writes every change of state down. Returns what ends it. */
export function logEvents(engine: Engine, log: Logger): () => void {
  return engine.onCommitted(({ events }) => {
    for (const { type, revision, subject, actor, data } of events) {
      const line = { event: type, revision, subject, actor, data }
      if (QUIET.has(type)) log.debug(line, type)
      else log.info(line, type)
    }
  })
}
