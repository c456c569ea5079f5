/**
 * A client of the Mesos v1 scheduler API (docs/scheduler-http-api.md of Apache Mesos), as small as it can be: one
 * stream of events, and calls on other connections that carry the stream's id.
 */
export interface SchedulerEvent {
  readonly type: string
  readonly [member: string]: unknown
}

export interface Subscription {
  readonly events: AsyncIterable<SchedulerEvent>
  /** Makes a call on this subscription. @throws when the master does not take it */
  call(body: Record<string, unknown>): Promise<void>
}

export interface MasterAccess {
  /** e.g. `http://127.0.0.1:5050`; any master will do, it names the leader. */
  readonly master: string
  readonly credentials?: { readonly principal: string; readonly secret: string }
}

/** A master says something every 15 seconds, if only a heartbeat. */
const SILENCE_MS = 75_000

/** Subscribes; ends when the master closes the stream or falls silent. @throws when no leading master answers */
export async function subscribe(
  access: MasterAccess,
  frameworkInfo: Record<string, unknown>,
  frameworkId: string | undefined,
  stop: AbortSignal,
): Promise<Subscription> {
  const id = frameworkId === undefined ? {} : { framework_id: { value: frameworkId } }
  const info = frameworkId === undefined ? frameworkInfo : { ...frameworkInfo, id: { value: frameworkId } }
  const silence = new AbortController()
  const signal = AbortSignal.any([stop, silence.signal])
  const { answer, leader } = await post(
    access,
    { type: 'SUBSCRIBE', ...id, subscribe: { framework_info: info } },
    {},
    signal,
  )
  const stream = answer.headers.get('mesos-stream-id')
  if (stream === null || answer.body === null) throw new Error('the master gave no stream')
  return {
    events: readEvents(answer.body, silence),
    async call(body) {
      const sent = await post({ ...access, master: leader }, body, { 'mesos-stream-id': stream }, signal)
      await sent.answer.body?.cancel()
    },
  }
}

/** Makes a call at the leading master: the others name it in a 307. */
async function post(
  { master, credentials }: MasterAccess,
  body: Record<string, unknown>,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<{ answer: Response; leader: string }> {
  const basic =
    credentials === undefined
      ? {}
      : { authorization: `Basic ${Buffer.from(`${credentials.principal}:${credentials.secret}`).toString('base64')}` }
  let url = new URL('/api/v1/scheduler', master)
  for (let redirects = 0; ; redirects++) {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', ...basic, ...headers },
      body: JSON.stringify(body),
      // fetch itself would leave the credentials behind
      redirect: 'manual',
      signal,
    })
    if (answer.ok) return { answer, leader: url.origin }
    const location = answer.headers.get('location')
    if (answer.status !== 307 || location === null || redirects === 5) {
      throw new Error(`${String(body.type)}: HTTP ${answer.status} ${(await answer.text()).slice(0, 300)}`)
    }
    url = new URL(location, url)
  }
}

/** RecordIO: `<length in bytes>\n<JSON>`, one after the other, cut anywhere by the network. */
async function* readEvents(body: AsyncIterable<Uint8Array>, silence: AbortController): AsyncGenerator<SchedulerEvent> {
  const watchdog = setTimeout(() => silence.abort(new Error('the master is silent')), SILENCE_MS)
  let rest = Buffer.alloc(0)
  try {
    for await (const chunk of body) {
      watchdog.refresh()
      rest = Buffer.concat([rest, chunk])
      for (;;) {
        const end = rest.indexOf(10)
        if (end < 0) break
        const length = Number(rest.subarray(0, end).toString('latin1'))
        if (!Number.isSafeInteger(length)) throw new Error('the master sent something that is not RecordIO')
        if (rest.length < end + 1 + length) break
        yield JSON.parse(rest.subarray(end + 1, end + 1 + length).toString('utf8')) as SchedulerEvent
        rest = rest.subarray(end + 1 + length)
      }
    }
  } finally {
    clearTimeout(watchdog)
  }
}
