import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { type Cli, run } from '../cli.ts'
import { serverEvents } from '../sse.ts'
import { printable } from '../table.ts'
import { note, say } from '../terminal.ts'
import type { EventView } from '../views.ts'
import { whole } from './options.ts'

interface EventOptions {
  readonly follow?: boolean
  readonly after?: number
  readonly type?: string
  readonly subject?: string
  readonly limit?: number
}

const SLOWEST_RETRY_MS = 5000
/** The controller sends something every 15 s. */
const SILENCE_MS = 45_000

export function defineEvents(noun: Command): void {
  noun
    .option('-f, --follow', 'go on with what happens from now on; takes up again where it was after an interruption')
    .option('--after <revision>', 'begin after this revision', whole('--after', 0, Number.MAX_SAFE_INTEGER))
    .option('--type <prefix>', 'only types that begin so, e.g. volume.')
    .option('--subject <id>', 'only about the thing of this id')
    .option('--limit <count>', 'the newest so many, or so many after a revision', whole('--limit', 1, 1_000_000))
    .action(run<EventOptions>((cli, options) => (options.follow === true ? follow(cli, options) : past(cli, options))))
}

/** What has happened: all after a revision, or the newest ones. */
async function past(cli: Cli, options: EventOptions): Promise<void> {
  const { type, subject, limit } = options
  let { after } = options
  let left = limit ?? Number.POSITIVE_INFINITY
  const newest = after === undefined
  for (;;) {
    const size = newest ? Math.min(1000, limit ?? 100) : 1000
    const query = { after, type, subject, limit: size }
    const page = await cli.client.get<{ items: EventView[]; next: string }>('/v1/events', query)
    for (const event of page.items.slice(0, left)) print(cli, event)
    left -= page.items.length
    if (newest || left <= 0 || page.next === String(after ?? '')) return
    after = Number(page.next)
  }
}

async function follow(cli: Cli, options: EventOptions): Promise<void> {
  let last = options.after === undefined ? undefined : String(options.after)
  let told = false
  let connected = false
  for (let pause = 250; ; pause = Math.min(SLOWEST_RETRY_MS, pause * 2)) {
    try {
      for await (const event of await open(cli, options, last)) {
        connected = true
        if (event.id !== '') last = event.id
        if (event.data !== '') print(cli, JSON.parse(event.data) as EventView)
        pause = 250
        told = false
      }
    } catch (thrown) {
      last = restartFrom(thrown, connected) ?? last
      if (!connected && !isGone(thrown)) throw thrown
    }
    if (!told) note('The connection is gone; it is taken up again where it was.\n')
    told = true
    await delay(pause)
  }
}

async function open(cli: Cli, options: EventOptions, last: string | undefined) {
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (last !== undefined) headers['last-event-id'] = last
  const response = await cli.client.stream('/v1/events', { type: options.type, subject: options.subject }, headers)
  response.setTimeout(SILENCE_MS, () => response.destroy(new Error('nothing came')))
  return serverEvents(response)
}

function isGone(thrown: unknown): boolean {
  return thrown instanceof HoldfastError && thrown.code === 'gone'
}

/**
 * Where to go on when part of the history is no longer kept. @throws every other refusal, and that one too when the
 * revision was asked for: only who was following is better served by what is left
 */
function restartFrom(thrown: unknown, connected: boolean): string | undefined {
  if (!(thrown instanceof HoldfastError)) return undefined
  if (thrown.code === 'gone' && connected && typeof thrown.data.restartFrom === 'number') {
    note(`Some events were missed: ${printable(thrown.message)}\n`)
    return String(thrown.data.restartFrom)
  }
  if (thrown.row.retry === 'no') throw thrown
  return undefined
}

function print(cli: Cli, event: EventView): void {
  say(`${cli.out.format === 'table' ? printable(lineOf(event)) : JSON.stringify(event)}\n`)
}

function lineOf({ at, revision, type, subject, actor, data }: EventView): string {
  const pairs = Object.entries(data).map(([key, value]) => {
    return `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`
  })
  const { kind, id, name } = subject
  return `${at}  ${String(revision).padStart(6)}  ${type}  ${kind} ${name ?? id}  by ${actor}  ${pairs.join(' ')}`.trimEnd()
}
