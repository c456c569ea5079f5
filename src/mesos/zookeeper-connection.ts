import { connect, type Socket } from 'node:net'
import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import { JuteReader, JuteWriter } from './jute.ts'
import { JuteFrames } from './jute-frames.ts'

export interface ZooKeeperServer {
  readonly host: string
  readonly port: number
}

export interface ConnectionOptions {
  readonly clock: Clock
  /** `user:password` for the scheme `digest`. */
  readonly auth?: string | undefined
  /** Silence after which the server gives the session up, ms; the server may choose another. */
  readonly sessionMs: number
  /** How long connecting, or one call, may take, ms. */
  readonly callMs: number
  /** The newest transaction seen so far: a server that is behind it refuses. */
  readonly seen: bigint
}

const STAT_BYTES = 68
// numbers of the protocol: ZooDefs.OpCode, ClientCnxn and KeeperException.Code of Apache ZooKeeper
const OP = { getData: 4, getChildren: 8, ping: 11, auth: 100, close: -11 } as const
const XID = { watch: -1, ping: -2, auth: -4 } as const
const NO_NODE = -101
const REFUSALS: Readonly<Record<number, string>> = {
  [NO_NODE]: 'there is no such node',
  [-102]: 'its access list does not let this client read it',
  [-112]: 'the session has expired',
  [-115]: 'user or password is wrong',
}

interface Call {
  readonly xid: number
  readonly what: string
  readonly done: (reply: JuteReader) => void
  readonly failed: (error: HoldfastError) => void
}

/**
 * One connection to one ZooKeeper server, with a session of its own that only reads. It ends at the first thing that is
 * not right: a late answer, one out of order, one that cannot be read. `closed` then says why; nothing is repeated here.
 */
export class ZooKeeperConnection {
  readonly server: string
  /** Settles when the connection has ended, with the reason; undefined when it was closed from this side. */
  readonly closed: Promise<HoldfastError | undefined>
  /** The newest transaction that the server spoke of. */
  seen: bigint

  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #settleClosed: (reason: HoldfastError | undefined) => void
  readonly #calls: Call[] = []
  readonly #watchers = new Set<() => void>()
  readonly #frames = new JuteFrames()
  #onHello: ((hello: JuteReader) => void) | undefined
  #nextXid = 1
  #heardAt: number
  #cancelTick: () => void = () => undefined
  #ended = false

  private constructor(server: ZooKeeperServer, options: ConnectionOptions) {
    this.server = `ZooKeeper at ${server.host}:${server.port}`
    this.seen = options.seen
    this.#options = options
    this.#heardAt = options.clock.boottime()
    const { promise, resolve } = Promise.withResolvers<HoldfastError | undefined>()
    this.closed = promise
    this.#settleClosed = resolve
    this.#socket = connect({ host: server.host, port: server.port, noDelay: true })
    this.#socket.on('data', (chunk) => this.#receive(chunk))
    this.#socket.on('error', (error) => this.#end(this.#unreachable(error.message)))
    this.#socket.on('close', () => this.#end(this.#unreachable('it closed the connection')))
  }

  /** @throws mesos_unreachable, mesos_refused, mesos_protocol */
  static async open(server: ZooKeeperServer, options: ConnectionOptions): Promise<ZooKeeperConnection> {
    const connection = new ZooKeeperConnection(server, options)
    const cancel = options.clock.after(options.callMs, () => connection.#tooLate('connecting'))
    try {
      await Promise.race([connection.#greet(), connection.#failure()])
      return connection
    } catch (thrown) {
      throw connection.#endWith(thrown)
    } finally {
      cancel()
    }
  }

  /** Names of the children; `onChange` is called once, when they are no longer these. Undefined: no such node. */
  async getChildren(path: string, onChange: () => void): Promise<string[] | undefined> {
    this.#watchers.add(onChange)
    const body = new JuteWriter().int(this.#nextXid).int(OP.getChildren).string(path).bool(true)
    return this.#call(`children of ${path}`, body, (reply) => reply.strings())
  }

  /** What a node holds. Undefined: no such node. */
  async getData(path: string): Promise<Buffer | undefined> {
    const body = new JuteWriter().int(this.#nextXid).int(OP.getData).string(path).bool(false)
    return this.#call(`data of ${path}`, body, (reply) => {
      const data = reply.buffer()
      reply.skip(STAT_BYTES)
      return data
    })
  }

  close(): void {
    if (this.#ended) return
    // a server that hears it drops the session at once instead of waiting
    this.#socket.write(new JuteWriter().int(this.#nextXid).int(OP.close).frame())
    this.#end(undefined)
  }

  async #greet(): Promise<void> {
    const { clock, auth, sessionMs, seen } = this.#options
    const hello = new Promise<JuteReader>((resolve) => {
      this.#onHello = resolve
    })
    const request = new JuteWriter().int(0).long(seen).int(sessionMs).long(0n).buffer(Buffer.alloc(16)).bool(false)
    this.#socket.write(request.frame())
    const answer = await hello
    answer.int()
    const granted = answer.int()
    if (granted <= 0) throw this.#fail(`it gives a session of ${granted} ms`)
    // an ensemble may give more or less than asked; neither an hour nor a millisecond is of use
    const period = Math.min(Math.max(granted, 1000), 60_000)
    this.#cancelTick = clock.after(period / 3, () => this.#tick(period))
    if (auth !== undefined) {
      const packet = new JuteWriter().int(XID.auth).int(OP.auth).int(0).string('digest').string(auth)
      await this.#send(XID.auth, 'the user and password', packet)
    }
  }

  /** Pings, and ends a connection on which nothing was heard for two thirds of the session. */
  #tick(period: number): void {
    if (this.#ended) return
    const { clock } = this.#options
    if (clock.boottime() - this.#heardAt > (period * 2) / 3) {
      this.#end(this.#unreachable(`it said nothing for ${(clock.boottime() - this.#heardAt) / 1000} s`))
      return
    }
    this.#socket.write(new JuteWriter().int(XID.ping).int(OP.ping).frame())
    this.#cancelTick = clock.after(period / 3, () => this.#tick(period))
  }

  async #call<T>(what: string, request: JuteWriter, read: (reply: JuteReader) => T): Promise<T | undefined> {
    const xid = this.#nextXid
    this.#nextXid = xid === 0x7fffffff ? 1 : xid + 1
    const reply = await this.#send(xid, what, request)
    if (reply === undefined) return undefined
    try {
      const result = read(reply)
      reply.end()
      return result
    } catch (thrown) {
      throw this.#endWith(thrown)
    }
  }

  /** The reply after its header; undefined when there is no such node. */
  async #send(xid: number, what: string, request: JuteWriter): Promise<JuteReader | undefined> {
    if (this.#ended) throw this.#unreachable('the connection has ended')
    const cancel = this.#options.clock.after(this.#options.callMs, () => this.#tooLate(`the ${what}`))
    const answered = new Promise<JuteReader>((done, failed) => {
      this.#calls.push({ xid, what, done, failed })
    })
    this.#socket.write(request.frame())
    const reply = await answered.finally(cancel)
    const code = reply.int()
    if (code === 0) return reply
    if (code === NO_NODE) return undefined
    const why = REFUSALS[code] ?? `error ${code}`
    throw new HoldfastError('mesos_refused', `${this.server} refuses ${what}: ${why}`, { code })
  }

  #receive(chunk: Buffer): void {
    this.#heardAt = this.#options.clock.boottime()
    try {
      for (let at = 0; at < chunk.length && !this.#ended; ) {
        const { frame, used } = this.#frames.take(chunk, at)
        at += used
        if (frame !== undefined) this.#dispatch(new JuteReader(frame, 'an answer'))
      }
    } catch (thrown) {
      this.#endWith(thrown)
    }
  }

  #dispatch(frame: JuteReader): void {
    const onHello = this.#onHello
    if (onHello !== undefined) {
      this.#onHello = undefined
      onHello(frame)
      return
    }
    const xid = frame.int()
    const transaction = frame.long()
    if (xid === XID.ping) return
    if (xid === XID.watch) {
      const watchers = [...this.#watchers]
      this.#watchers.clear()
      for (const changed of watchers) changed()
      return
    }
    const call = this.#calls[0]
    if (call?.xid !== xid) throw this.#fail(`it answers call ${xid} where ${call?.xid ?? 'none'} is due`)
    this.#calls.shift()
    if (transaction > this.seen) this.seen = transaction
    call.done(frame)
  }

  /** Rejects when the connection ends. */
  async #failure(): Promise<never> {
    throw (await this.closed) ?? this.#unreachable('the connection was closed')
  }

  #tooLate(what: string): void {
    this.#end(this.#unreachable(`${what} took more than ${this.#options.callMs / 1000} s`))
  }

  #unreachable(why: string): HoldfastError {
    return new HoldfastError('mesos_unreachable', `${this.server}: ${why}`)
  }

  #fail(why: string): HoldfastError {
    return new HoldfastError('mesos_protocol', `${this.server} breaks the protocol: ${why}`)
  }

  /** Ends with this reason, and says which server it was where that is not said yet. */
  #endWith(thrown: unknown): HoldfastError {
    const reason = asHoldfastError(thrown)
    const named = reason.code === 'mesos_protocol' && !reason.message.startsWith(this.server)
    const error = named ? this.#fail(reason.message) : reason
    this.#end(error)
    return error
  }

  #end(reason: HoldfastError | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#cancelTick()
    if (reason === undefined) this.#socket.end(() => this.#socket.destroy())
    else this.#socket.destroy()
    for (const call of this.#calls.splice(0)) call.failed(reason ?? this.#unreachable('the connection was closed'))
    this.#settleClosed(reason)
  }
}
