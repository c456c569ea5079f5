import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { Controller } from '../../../src/controller/controller.ts'
import { createApi } from '../../../src/controller/http/api.ts'
import { Authenticator, adminToken } from '../../../src/controller/http/auth.ts'
import { listen } from '../../../src/controller/http/listen.ts'
import { createLog } from '../../../src/controller/http/log.ts'
import { Metrics } from '../../../src/controller/http/metrics.ts'
import { createIds } from '../../../src/runtime/ids.ts'
import { systemClock } from '../../../src/runtime/system-clock.ts'
import { openSqliteStore } from '../../../src/store/sqlite/open.ts'
import type { Store } from '../../../src/store/store.ts'
import { NodeClient, type NodeClientOptions } from '../../support/node-client.ts'
import { tempDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into field by field, and a wrong guess fails the test
  readonly body: any
}

export interface Rest {
  readonly url: string
  readonly directory: string
  readonly admin: string
  readonly controller: Controller
  readonly store: Store
  readonly logLines: string[]
  /** Asks as admin, if no other token is given. */
  ask(method: string, path: string, body?: unknown, options?: AskOptions): Promise<Answer>
  /** Makes a token. */
  token(tokenRole: string, more?: object): Promise<string>
  node(name: string, options?: Partial<NodeClientOptions>): Promise<NodeClient>
  /** A marked pool that the node reaches. */
  pool(name: string, node: NodeClient, more?: object): Promise<{ id: string; name: string }>
  close(): Promise<void>
}

export interface AskOptions {
  readonly token?: string | undefined
  readonly headers?: Record<string, string>
}

/** The real door over loopback, on a real store in a folder of its own. */
export async function startRest(wrap: (store: Store) => Store = (store) => store): Promise<Rest> {
  const dir = tempDir()
  const opened = await openSqliteStore({ directory: dir.path })
  const metrics = new Metrics()
  const store = metrics.measured(wrap(opened))
  const controller = new Controller({
    store,
    clock: systemClock,
    newId: createIds(systemClock),
    newUuid: () => crypto.randomUUID(),
  })
  await controller.start()
  metrics.observe(controller)
  const admin = await adminToken(dir.path)
  const auth = new Authenticator(controller.engine, admin)
  const logLines: string[] = []
  const log = createLog('info', { write: (line) => void logLines.push(line) })
  const app = createApi({ controller, auth, log, metrics, version: '0.1.0', config: {} })
  const url = await listen(app, { host: '127.0.0.1', port: 0, tls: false, insecure: false })
  const nodes: NodeClient[] = []

  const ask = (method: string, path: string, body?: unknown, options: AskOptions = {}) =>
    askAt(url, method, path, body, { token: admin, ...options })
  const rest: Rest = {
    url,
    directory: dir.path,
    admin,
    controller,
    store,
    logLines,
    ask,
    async token(tokenRole, more = {}) {
      return (await ask('POST', '/v1/tokens', { tokenRole, ...more })).body.secret
    },
    async node(name, options = {}) {
      const client = new NodeClient({ url, name, ...options })
      nodes.push(client)
      return client.start(await rest.token('join'))
    },
    async pool(name, node, more = {}) {
      const { status, body } = await ask('POST', '/v1/pools', {
        name,
        driver: 'loop',
        settings: { directory: '/srv/pool' },
        capacityMiB: 100_000,
        markOn: node.name,
        ...more,
      })
      if (status !== 201) throw new Error(JSON.stringify(body))
      const reached = async () => (await ask('GET', `/v1/pools/${name}`)).body.nodes === 1
      await until(reached, { what: `${name} to be reached (${node.troubles})` })
      return body
    },
    async close() {
      for (const node of nodes) await node.close()
      await app.close()
      await controller.stop()
      await opened.close()
      dir.remove()
    },
  }
  return rest
}

/** Until the current test ends. */
export async function testRest(wrap?: (store: Store) => Store): Promise<Rest> {
  const rest = await startRest(wrap)
  onTestFinished(() => rest.close())
  return rest
}

export async function askAt(
  url: string,
  method: string,
  path: string,
  body: unknown,
  options: AskOptions,
): Promise<Answer> {
  const headers: Record<string, string> = { ...options.headers }
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
  if (body !== undefined) headers['content-type'] ??= 'application/json'
  const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
  const answer = await fetch(url + path, { method, headers, ...sent })
  const text = await answer.text()
  const json = (answer.headers.get('content-type') ?? '').includes('json')
  return { status: answer.status, headers: answer.headers, body: json && text !== '' ? JSON.parse(text) : text }
}

/** What a raw socket gets for some bytes, until the other side closes. */
export async function rawAsk(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => undefined)
  socket.write(bytes)
  await new Promise((resolve) => socket.on('close', resolve))
  return Buffer.concat(chunks).toString()
}
