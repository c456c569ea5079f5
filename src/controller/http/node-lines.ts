import type { ServerResponse } from 'node:http'
import type { Assignment } from '../../model/node-protocol.ts'
import type { NodeStream } from '../sessions.ts'

const HEARTBEAT_MS = 5000

/**
 * A node's stream: one assignment a line, an empty line as heartbeat. An assignment is the whole of what is wanted, so
 * while the node is slow only the newest one waits for it.
 */
export class NodeLines implements NodeStream {
  readonly #response: ServerResponse
  readonly #heartbeat: NodeJS.Timeout
  #unsent: Assignment | undefined
  #closed = false

  constructor(response: ServerResponse) {
    this.#response = response
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS)
    response.on('drain', () => this.#flush())
    response.on('close', () => this.close())
  }

  send(assignment: Assignment): void {
    if (this.#closed) return
    // pools are sent only when they changed: those that wait must not be lost to an assignment without any
    const pools = assignment.pools ?? this.#unsent?.pools
    this.#unsent = pools === undefined ? assignment : { ...assignment, pools }
    this.#flush()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#heartbeat)
    if (this.#response.headersSent) this.#response.end()
  }

  #flush(): void {
    if (this.#closed || this.#unsent === undefined || this.#response.writableNeedDrain) return
    this.#begin()
    const line = JSON.stringify(this.#unsent)
    this.#unsent = undefined
    this.#response.write(`${line}\n`)
  }

  #beat(): void {
    if (this.#response.headersSent && !this.#response.writableNeedDrain) this.#response.write('\n')
  }

  #begin(): void {
    if (this.#response.headersSent) return
    this.#response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
  }
}
