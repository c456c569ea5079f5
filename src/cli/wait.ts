import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError, isErrorCode } from '../model/errors.ts'
import type { Fault } from '../model/volume.ts'
import { type Client, part } from './client.ts'
import { Interrupted } from './errors.ts'
import { Progress } from './progress.ts'
import { note } from './terminal.ts'
import type { OperationView } from './views.ts'

const FIRST_LOOK_MS = 30
const SLOWEST_LOOK_MS = 500

/**
 * Looks again and again, less often as time goes by, until the probe gives something. Ctrl-C ends the looking, never
 * the work; `follow` is the command that looks again. @throws Interrupted
 */
export async function untilDone<T>(probe: () => Promise<T | undefined>, follow: string, timeoutS?: number): Promise<T> {
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once('SIGINT', interrupt)
  const end = timeoutS === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutS * 1000
  try {
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(SLOWEST_LOOK_MS, pause * 1.5)) {
      const interrupted = new Promise<'interrupted'>((resolve) => {
        if (stop.signal.aborted) resolve('interrupted')
        stop.signal.addEventListener('abort', () => resolve('interrupted'), { once: true })
      })
      const found = await Promise.race([probe(), interrupted])
      if (found === 'interrupted') throw new Interrupted()
      if (found !== undefined) return found
      if (performance.now() >= end) throw stillGoing(follow, timeoutS)
      await delay(pause, undefined, { signal: stop.signal }).catch(() => {})
    }
  } catch (thrown) {
    if (thrown instanceof Interrupted) note(`\nIt goes on. Follow it with: ${follow}\n`)
    throw thrown
  } finally {
    process.off('SIGINT', interrupt)
  }
}

function stillGoing(follow: string, timeoutS: number | undefined): HoldfastError {
  return new HoldfastError('storage_timeout', `not done within ${timeoutS} s; it goes on. Follow it with: ${follow}`)
}

/** Waits for the end of an operation. @throws what it failed with */
export async function waitForOperation(client: Client, id: string, timeoutS?: number): Promise<OperationView> {
  const progress = new Progress()
  try {
    const ended = await untilDone(
      async () => {
        const operation = await client.get<OperationView>(`/v1/operations/${part(id)}`)
        progress.show(operation)
        return isOver(operation) ? operation : undefined
      },
      `holdfast operation wait ${id}`,
      timeoutS,
    )
    progress.end()
    throwIfFailed(ended)
    return ended
  } finally {
    progress.end()
  }
}

/** Waits for slow work; who may not see operations looks at what it is about. */
export async function waitForWork(client: Client, operation: string, subject: string, name: string): Promise<void> {
  try {
    await waitForOperation(client, operation)
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError && thrown.code === 'forbidden')) throw thrown
    await waitForSubject(client, subject, name)
  }
}

interface Worked {
  readonly operations: readonly string[]
  readonly fault?: Fault
}

async function waitForSubject(client: Client, path: string, name: string): Promise<void> {
  const ended = await untilDone<Worked | 'gone'>(
    async () => {
      try {
        const now = await client.get<Worked>(path)
        return now.operations.length === 0 ? now : undefined
      } catch (thrown) {
        if (thrown instanceof HoldfastError && thrown.code === 'not_found') return 'gone'
        throw thrown
      }
    },
    `holdfast ${path.includes('/snapshots/') ? 'snapshot' : 'volume'} show ${name}`,
  )
  if (ended !== 'gone' && ended.fault !== undefined) throw faultError(ended.fault, `${name}: `)
}

function isOver({ state }: OperationView): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled'
}

function throwIfFailed(operation: OperationView): void {
  const what = `${operation.kind} of ${operation.subjectName ?? operation.subject.id}`
  if (operation.state === 'cancelled') throw new HoldfastError('cancelled', `${what}: it was cancelled`)
  if (operation.state !== 'failed') return
  if (operation.fault === undefined) throw new HoldfastError('storage_failed', `${what}: it failed`)
  throw faultError(operation.fault, `${what}: `)
}

function faultError({ code, message, next }: Fault, prefix: string): HoldfastError {
  return new HoldfastError(isErrorCode(code) ? code : 'storage_failed', prefix + message, { next })
}
