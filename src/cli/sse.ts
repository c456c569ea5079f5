/** One server-sent event (WHATWG HTML, "Server-sent events"). */
export interface ServerEvent {
  /** Of this event or the last one before it that had an id. */
  readonly id: string
  readonly type: string
  /** Empty for an event that only carries an id. */
  readonly data: string
}

/** Reads the fields that Holdfast sends: `id`, `event`, `data`, and comments. */
export async function* serverEvents(chunks: AsyncIterable<Buffer | string>): AsyncGenerator<ServerEvent> {
  let event: ServerEvent = { id: '', type: '', data: '' }
  for await (const line of linesOf(chunks)) {
    if (line !== '') {
      event = withField(event, line)
      continue
    }
    if (event.data !== '' || event.id !== '') yield event
    event = { id: event.id, type: '', data: '' }
  }
}

async function* linesOf(chunks: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    const lines = rest.split(/\r?\n/)
    rest = lines.pop() ?? ''
    yield* lines
  }
}

function withField(event: ServerEvent, line: string): ServerEvent {
  const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? []
  if (field === 'id') return { ...event, id: value }
  if (field === 'event') return { ...event, type: value }
  if (field === 'data') return { ...event, data: event.data === '' ? value : `${event.data}\n${value}` }
  return event
}
