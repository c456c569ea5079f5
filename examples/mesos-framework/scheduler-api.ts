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
  /** e.g. `http://127.0.0.1:5050`; any master will do, it redirects to the leader. */
  readonly master: string
  readonly credentials?: { readonly principal: string; readonly secret: string }
}

/** Subscribes; ends when the master closes the stream. @throws when no leading master answers */
export async function subscribe(
  access: MasterAccess,
  frameworkInfo: Record<string, unknown>,
  frameworkId: string | undefined,
  signal: AbortSignal,
): Promise<Subscription> {
  const id = frameworkId === undefined ? {} : { framework_id: { value: frameworkId } }
  const info = frameworkId === undefined ? frameworkInfo : { ...frameworkInfo, id: { value: frameworkId } }
  const answer = await post(access, { type: 'SUBSCRIBE', ...id, subscribe: { framework_info: info } }, {}, signal)
  const stream = answer.headers.get('mesos-stream-id')
  if (stream === null || answer.body === null) throw new Error('the master gave no stream')
  return {
    events: readEvents(answer.body),
    async call(body) {
      const sent = await post(access, body, { 'mesos-stream-id': stream }, signal)
      await sent.body?.cancel()
    },
  }
}

async function post(
  { master, credentials }: MasterAccess,
  body: Record<string, unknown>,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  const basic =
    credentials === undefined
      ? {}
      : { authorization: `Basic ${Buffer.from(`${credentials.principal}:${credentials.secret}`).toString('base64')}` }
  // 307 from a master that does not lead: fetch repeats the call at the leader
  const answer = await fetch(`${master}/api/v1/scheduler`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', ...basic, ...headers },
    body: JSON.stringify(body),
    signal,
  })
  if (answer.ok) return answer
  throw new Error(`${String(body.type)}: HTTP ${answer.status} ${(await answer.text()).slice(0, 300)}`)
}

/** RecordIO: `<length in bytes>\n<JSON>`, one after the other, cut anywhere by the network. */
async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<SchedulerEvent> {
  let rest = Buffer.alloc(0)
  for await (const chunk of body) {
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
}
