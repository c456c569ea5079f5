/** Real ZooKeeper servers on loopback, and clients that stand for election as masters do. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { JuteReader, JuteWriter } from '../../src/mesos/jute.ts'
import { JuteFrames } from '../../src/mesos/jute-frames.ts'
import { until } from '../support/until.ts'

/** What `needs(...)` has to ask for. */
export const ZOOKEEPER_NEEDS = ['java', 'zookeeper'] as const

const JARS = [
  ...['zookeeper', 'zookeeper-jute', 'netty-all', 'netty-handler', 'netty-transport', 'netty-common', 'netty-buffer'],
  ...['netty-resolver', 'netty-codec', 'slf4j-api', 'slf4j-simple', 'snappy-java', 'metrics-core', 'commons-io'],
]

export class ZooKeeperServers {
  readonly ports: number[] = []
  readonly #dir: string
  readonly #children = new Map<number, ChildProcess>()

  private constructor(dir: string) {
    this.#dir = dir
  }

  /** @param count one by itself, or three that elect a leader and survive the loss of one */
  static async start(dir: string, count: 1 | 3 = 1): Promise<ZooKeeperServers> {
    const servers = new ZooKeeperServers(dir)
    servers.ports.push(...(await freePorts(count)))
    const peers = count === 1 ? [] : await freePorts(count * 2)
    for (const index of servers.ports.keys()) servers.#configure(index, peers)
    try {
      for (const index of servers.ports.keys()) servers.launch(index)
      for (const index of servers.ports.keys()) await servers.ready(index)
    } catch (thrown) {
      await servers.stop()
      throw thrown
    }
    return servers
  }

  /** `127.0.0.1:1,127.0.0.1:2`. */
  get addresses(): string {
    return this.ports.map((port) => `127.0.0.1:${port}`).join(',')
  }

  launch(index: number): void {
    const log = openSync(join(this.#dir, `${index}.log`), 'a')
    const args = [
      ...['-Xmx96m', '-XX:TieredStopAtLevel=1', '-Dzookeeper.forceSync=no', '-cp', classPath()],
      'org.apache.zookeeper.server.quorum.QuorumPeerMain',
      join(this.#dir, `${index}.cfg`),
    ]
    this.#children.set(index, spawn('java', args, { cwd: this.#dir, stdio: ['ignore', log, log] }))
  }

  /** Until it takes clients, which in a group means that a leader was elected. */
  async ready(index: number): Promise<void> {
    const port = this.ports[index] as number
    try {
      await until(() => isServing(port), { what: `ZooKeeper on port ${port}`, deadlineMs: 40_000, everyMs: 50 })
    } catch (thrown) {
      const log = readFileSync(join(this.#dir, `${index}.log`), 'utf8')
      throw new Error(`ZooKeeper did not start:\n${log.slice(-3000)}`, { cause: thrown })
    }
  }

  async kill(index: number): Promise<void> {
    const child = this.#children.get(index)
    this.#children.delete(index)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  async stop(): Promise<void> {
    await Promise.all(this.ports.map((_, index) => this.kill(index)))
  }

  #configure(index: number, peers: readonly number[]): void {
    const data = join(this.#dir, `${index}`)
    mkdirSync(data, { recursive: true })
    writeFileSync(join(data, 'myid'), `${index + 1}`)
    const group = this.ports.map((_, i) => `server.${i + 1}=127.0.0.1:${peers[2 * i]}:${peers[2 * i + 1]}`)
    const lines = [
      ...['tickTime=200', 'initLimit=50', 'syncLimit=20', 'admin.enableServer=false', '4lw.commands.whitelist=srvr'],
      ...[`dataDir=${data}`, 'clientPortAddress=127.0.0.1', `clientPort=${this.ports[index]}`],
      ...(peers.length === 0 ? [] : group),
    ]
    writeFileSync(join(this.#dir, `${index}.cfg`), `${lines.join('\n')}\n`)
  }
}

function classPath(): string {
  return JARS.map((name) => `/usr/share/java/${name}.jar`).join(':')
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports: number[] = []
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (typeof address === 'object' && address !== null) ports.push(address.port)
  }
  for (const server of servers) server.close()
  return ports
}

async function isServing(port: number): Promise<boolean> {
  const client = await ZooKeeperWriter.open(port)
  client.drop()
  return true
}

const OPEN_ACL = { scheme: 'world', id: 'anyone' }
const EPHEMERAL_SEQUENTIAL = 3

/** Writes, which the client under test cannot. Each is a session: what stands for election is gone with it. */
export class ZooKeeperWriter {
  readonly #socket: Socket
  readonly #frames = new JuteFrames()
  #answer: ((frame: JuteReader) => void) | undefined
  #xid = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      for (let at = 0; at < chunk.length; ) {
        const { frame, used } = this.#frames.take(chunk, at)
        at += used
        if (frame !== undefined) this.#answer?.(new JuteReader(frame, 'an answer'))
      }
    })
  }

  static async open(port: number): Promise<ZooKeeperWriter> {
    const socket = connect({ host: '127.0.0.1', port })
    const lost = new Promise<never>((_, reject) => {
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('ZooKeeper closed the connection')))
      // one that is still starting may take a connection and never answer on it
      socket.setTimeout(1000, () => socket.destroy())
    })
    const writer = new ZooKeeperWriter(socket)
    const hello = new JuteWriter().int(0).long(0n).int(4000).long(0n).buffer(Buffer.alloc(16)).bool(false)
    await Promise.race([writer.#ask(hello), lost])
    socket.setTimeout(0)
    return writer
  }

  /** A lasting node. @param digest `user:hash` who alone may read it, as ZooKeeper keeps it */
  async create(path: string, digest?: string): Promise<void> {
    await this.#create(path, '', 0, digest)
  }

  /** A node as a master makes it; gives its name. */
  async stand(path: string, data: string): Promise<string> {
    return this.#create(`${path}/json.info_`, data, EPHEMERAL_SEQUENTIAL)
  }

  /** Ends the session in order: what it made is gone at once. */
  async close(): Promise<void> {
    if (this.#socket.destroyed) return
    const closed = new Promise((resolve) => this.#socket.once('close', resolve))
    this.#socket.write(
      new JuteWriter()
        .int(++this.#xid)
        .int(-11)
        .frame(),
    )
    await closed
  }

  drop(): void {
    this.#socket.destroy()
  }

  async #create(path: string, data: string, flags: number, digest?: string): Promise<string> {
    const { scheme, id } = digest === undefined ? OPEN_ACL : { scheme: 'digest', id: digest }
    const request = new JuteWriter()
      .int(++this.#xid)
      .int(1)
      .string(path)
      .buffer(Buffer.from(data))
    const answer = await this.#ask(request.int(1).int(31).string(scheme).string(id).int(flags))
    answer.int()
    answer.long()
    const code = answer.int()
    if (code !== 0) throw new Error(`ZooKeeper answers ${code} to create ${path}`)
    return answer.string()
  }

  #ask(request: JuteWriter): Promise<JuteReader> {
    return new Promise((resolve) => {
      this.#answer = resolve
      this.#socket.write(request.frame())
    })
  }
}
