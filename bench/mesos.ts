import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Line, percentile } from './figures.ts'
import type { Ask } from './mesos-controller.ts'
import { fillMesos, POOL_ID, secretOf } from './mesos-world.ts'

const PROVIDERS = 1000
const ROUNDS = 100
const WARM_UP = 20
/** Longer than the controller gathers changes for. */
const BETWEEN_MS = 250
const LIMIT_MS = 10_000

/**
 * A thousand providers are connected to one controller, one of them takes from their pool: how long until all others
 * have read that less is free, and what each connected one costs in memory.
 */
export async function benchMesos(): Promise<Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'hfb-'))
  const crowds: Crowd[] = []
  let child: ChildProcess | undefined
  try {
    await fillMesos(join(directory, 'state'), PROVIDERS)
    child = fork(new URL('./mesos-controller.ts', import.meta.url), [join(directory, 'state')], { stdio: 'inherit' })
    const { api, reference } = await answer<{ api: string; reference: number }>(child)
    const { hostname, port } = new URL(api)
    const before = await memory(child)
    const providers = new Crowd('"kind":"complete"')
    crowds.push(providers)
    await providers.connect(hostname, Number(port), (index) => streamRequest(api, index))
    const each = ((await memory(child)) - before) / PROVIDERS
    const plain = new Crowd('')
    crowds.push(plain)
    await plain.connect(hostname, reference, () => '')
    const { ours, theirs, bytes } = await measure(child, api, providers, plain)
    return lines(ours, theirs, bytes, each)
  } finally {
    for (const crowd of crowds) crowd.close()
    child?.removeAllListeners('exit')
    child?.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A take and a plain write of the same bytes in turns. The one that takes is the first of the crowd. */
async function measure(child: ChildProcess, api: string, providers: Crowd, plain: Crowd) {
  const agent = new Agent({ keepAlive: true })
  const samples = { ours: [] as number[], theirs: [] as number[], bytes: 0 }
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    await sleep(BETWEEN_MS)
    const told = providers.all('"kind":"raw"')
    const begun = performance.now()
    const taken = take(agent, api)
    const ours = (await told) - begun
    await taken
    const text = providers.last
    samples.bytes = text.length
    const written = plain.all(text)
    const from = performance.now()
    child.send({ kind: 'write', text } satisfies Ask)
    const theirs = (await written) - from
    if (round >= 0) samples.ours.push(ours)
    if (round >= 0) samples.theirs.push(theirs)
  }
  agent.destroy()
  return samples
}

/** A thousand sockets, and when the last of them has read something. */
class Crowd {
  readonly #sockets: Socket[] = []
  readonly #greeting: string
  #wanted = ''
  #missing = 0
  #done: ((at: number) => void) | undefined
  /** What was read last of what was waited for. */
  last = ''

  /** @param greeting what the other side says first; empty: nothing */
  constructor(greeting: string) {
    this.#greeting = greeting
  }

  async connect(host: string, port: number, hello: (index: number) => string): Promise<void> {
    const greeted = this.#greeting === '' ? undefined : this.all(this.#greeting)
    const opened: Promise<unknown>[] = []
    for (let index = 0; index < PROVIDERS; index += 1) {
      const socket = connect({ host, port, noDelay: true })
      socket.setEncoding('latin1').on('data', (text: string) => this.#read(text))
      this.#sockets.push(socket)
      opened.push(once(socket, 'connect').then(() => socket.write(hello(index))))
    }
    await Promise.all(opened)
    await greeted
  }

  /** When all of them have read a text, by `performance.now()`. @throws after ten seconds */
  all(text: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const late = () => reject(new Error(`${this.#missing} of ${PROVIDERS} have not read ${text}`))
    const timer = setTimeout(late, LIMIT_MS)
    this.#wanted = text
    this.#missing = PROVIDERS
    this.#done = (at) => {
      clearTimeout(timer)
      resolve(at)
    }
    return promise
  }

  #read(text: string): void {
    if (this.#wanted === '' || !text.includes(this.#wanted)) return
    this.#missing -= 1
    if (this.#missing > 0) return
    this.last = text
    this.#wanted = ''
    this.#done?.(performance.now())
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

function streamRequest(api: string, index: number): string {
  const { host } = new URL(api)
  return `GET /v1/mesos/stream HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${secretOf(index)}\r\n\r\n`
}

/** CREATE_DISK, as the provider of the first node passes it on. */
function take(agent: Agent, api: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const headers = { authorization: `Bearer ${secretOf(0)}`, 'content-type': 'application/json' }
  const call = request(`${api}/v1/mesos/disks`, { agent, method: 'POST', headers }, (reply) => {
    reply.resume()
    reply.on('end', () => (reply.statusCode === 202 ? resolve() : reject(new Error(`HTTP ${reply.statusCode}`))))
  })
  const reservations = [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }]
  const disk = { poolId: POOL_ID, role: 'ads', reservations, sizeMiB: 1000, profile: 'fast', target: 'MOUNT' }
  call.on('error', reject).end(JSON.stringify({ operation: randomUUID(), ...disk }))
  return promise
}

function answer<T>(child: ChildProcess): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const ended = (code: number | null) => reject(new Error(`the controller ended with ${code}`))
  child.once('exit', ended)
  child.once('message', (message) => {
    child.off('exit', ended)
    resolve(message as T)
  })
  return promise
}

/** Bytes that the controller's process uses when it has cleaned up. */
async function memory(child: ChildProcess): Promise<number> {
  child.send({ kind: 'memory' } satisfies Ask)
  return (await answer<{ bytes: number }>(child)).bytes
}

function lines(ours: readonly number[], theirs: readonly number[], bytes: number, each: number): Line[] {
  const against = `writing the same ${bytes} bytes to ${PROVIDERS} sockets`
  const times = [50, 95, 99].map((p) => ({
    name: `Mesos: a take is known to ${PROVIDERS} providers, p${p}`,
    ours: percentile(ours, p),
    reference: percentile(theirs, p),
    unit: 'ms',
    against,
  }))
  const name = 'Mesos: memory of a connected provider'
  return [
    ...times,
    { name, ours: each / 1024, reference: undefined, unit: 'KiB', against: '', note: 'heap and external' },
  ]
}
