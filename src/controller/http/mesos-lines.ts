import type { ServerResponse } from 'node:http'
import type { ProviderSink } from '../mesos/provider-stream.ts'

const HEARTBEAT_MS = 5000

/** The stream of a machine's Mesos provider: a line for each thing that is new, an empty one as heartbeat. */
export class MesosLines implements ProviderSink {
  readonly #response: ServerResponse
  readonly #heartbeat: NodeJS.Timeout
  #closed = false

  /** @param onDrained told when a slow reader has caught up */
  constructor(response: ServerResponse, onDrained: () => void) {
    this.#response = response
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS)
    response.on('drain', onDrained)
    response.on('close', () => this.close())
  }

  /** Takes the response over for good: it may be that nothing was written to it yet, or that all is over already. */
  begin(): void {
    this.#head()
    this.#response.flushHeaders()
    if (this.#closed) this.#response.end()
  }

  write(lines: string): boolean {
    if (this.#closed) return true
    this.#head()
    return this.#response.write(lines)
  }

  #head(): void {
    if (this.#response.headersSent) return
    // the connection ends with the stream: kept alive, it would keep a controller from stopping
    const headers = { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store', connection: 'close' }
    this.#response.writeHead(200, headers)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#heartbeat)
    if (this.#response.headersSent) this.#response.end()
  }

  #beat(): void {
    if (this.#response.headersSent && !this.#response.writableNeedDrain) this.#response.write('\n')
  }
}
