/**
 * The process that starts programs for a daemon. Starting one copies the page tables of the process that does it, which
 * takes a grown daemon ten milliseconds in which it answers nobody; this process stays small. It ends with its daemon,
 * and what runs then is ended with it.
 */
import { asHoldfastError } from '../model/errors.ts'
import type { LauncherAnswer, LauncherRequest } from './launcher-protocol.ts'
import { createPrograms } from './run.ts'
import { TAG } from './survivors.ts'

const tag = process.env[TAG]
const programs = createPrograms(undefined, tag, process.argv.slice(2))
const running = new Map<number, AbortController>()

process.on('message', (request: LauncherRequest) => {
  if (request.kind === 'abort') running.get(request.id)?.abort()
  else void run(request)
})
process.on('disconnect', () => {
  for (const abort of running.values()) abort.abort()
  // those that can be ended have ended by then; the daemon's next life looks after the others
  setTimeout(() => process.exit(0), running.size === 0 ? 0 : 5000)
})
// Ctrl-C at a terminal is for the daemon, which ends its work in its own order.
process.on('SIGINT', () => undefined)

async function run(request: Extract<LauncherRequest, { kind: 'run' }>): Promise<void> {
  const { id, program, args, deadlineMs, whileProgressing, reportsWritten, accept } = request
  const abort = new AbortController()
  running.set(id, abort)
  try {
    const result = await programs.run(program, args, {
      deadlineMs,
      whileProgressing,
      signal: abort.signal,
      ...(accept === undefined ? {} : { accept }),
      ...(reportsWritten ? { onWritten: (bytes: number) => answer({ kind: 'written', id, bytes }) } : {}),
    })
    answer({ kind: 'result', id, result, abandoned: programs.abandoned() })
  } catch (thrown) {
    const { code, message, data } = asHoldfastError(thrown)
    answer({ kind: 'failure', id, code, message, data, abandoned: programs.abandoned() })
  } finally {
    running.delete(id)
  }
}

function answer(message: LauncherAnswer): void {
  // a daemon that has gone needs no answer
  process.send?.(message, () => undefined)
}
