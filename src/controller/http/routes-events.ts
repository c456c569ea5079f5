import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'
import { READ } from './caller.ts'
import { ref } from './components.ts'
import { type EventFilter, EventStream, eventsAfter, showEvent } from './event-stream.ts'
import { type Call, ok, type Route, route } from './route.ts'

const Query = Type.Object({
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Revision after which to begin; the header Last-Event-ID says the same.',
    }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Of a JSON page; 100 if not given.' })),
  type: Type.Optional(Type.String({ maxLength: 64, description: 'Only types that begin so, e.g. `volume.`.' })),
  subject: Type.Optional(Type.String({ maxLength: 300, description: 'Only about the thing of this id.' })),
})
type EventCall = Call<unknown, { after?: number; limit?: number; type?: string; subject?: string }, unknown>

export const EVENT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/events',
    access: READ,
    tag: 'events',
    summary: 'Follow what happens, or read a page of what happened',
    description:
      'With "Accept: application/json" one page: `next` is the `after` of the following one; without `after` the newest page. Else a stream of server-sent events whose ids are revisions: the past after the revision given, then the present; without one, the present alone.',
    query: Query,
    replies: {
      200: {
        type: 'object',
        required: ['items', 'next'],
        properties: { items: { type: 'array', items: ref('Event') }, next: { type: 'string' } },
        additionalProperties: false,
      },
    },
    handle: async (call) => {
      const accept = call.request.headers.accept ?? ''
      if (accept.includes('application/json') && !accept.includes('text/event-stream')) return jsonPage(call)
      await stream(call)
      return undefined
    },
  }),
]

async function jsonPage(call: EventCall) {
  const { limit = 100 } = call.query
  const after = begin(call) ?? (await call.read((state) => Math.max(0, state.revision - limit)))
  const { engine } = call.api.controller
  const events = await eventsAfter({ engine, store: call.api.controller.store }, after, limit)
  const next = String(events.at(-1)?.revision ?? after)
  return ok({ items: events.filter(filterOf(call)).map(showEvent), next })
}

async function stream(call: EventCall): Promise<void> {
  const { controller, closing } = call.api
  const after = begin(call) ?? (await call.read((state: LedgerState) => state.revision))
  const source = { engine: controller.engine, store: controller.store }
  const events = new EventStream(source, call.reply.raw, after, filterOf(call))
  const end = () => events.end()
  closing.addEventListener('abort', end)
  call.reply.raw.on('close', () => closing.removeEventListener('abort', end))
  await events.run()
  // only now: a refusal before the first byte is answered like any other
  call.reply.hijack()
  if (closing.aborted) end()
}

function filterOf(call: EventCall): EventFilter {
  const { type, subject } = call.query
  return (event) =>
    (type === undefined || event.type.startsWith(type)) && (subject === undefined || event.subject.id === subject)
}

/** @throws invalid_option */
function begin(call: EventCall): number | undefined {
  const header = call.request.headers['last-event-id']
  if (header === undefined) return call.query.after
  if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header)
  throw new HoldfastError('invalid_option', `header Last-Event-ID ${quote(String(header))}: not a revision`)
}
