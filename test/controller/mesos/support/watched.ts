/** A real controller that watches the masters of a Mesos, over loopback. */
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { type MesosSettings, runController } from '../../../../src/cli/run-controller.ts'
import type { MesosView } from '../../../../src/cli/views.ts'
import type { Controller } from '../../../../src/controller/controller.ts'
import type { LedgerEvent } from '../../../../src/model/event.ts'
import { type ClusterOptions, type Mesos, startMesos } from '../../../support/mesos/cluster.ts'
import { NodeClient } from '../../../support/node-client.ts'
import { tempDir, testDir } from '../../../support/temp-dir.ts'
import { until } from '../../../support/until.ts'
import { type Answer, askAt } from '../../http/rest.ts'

export interface Watched {
  readonly api: string
  readonly token: string
  readonly controller: Controller
  /** Every verdict that the ledger was told, in order. */
  readonly verdicts: string[]
  readonly logged: Record<string, unknown>[]
  ask(method: string, path: string, body?: unknown): Promise<Answer>
  status(): Promise<MesosView>
  /** Until the ledger has this verdict, and a reason for it that says so. */
  guardIs(state: string, says?: RegExp): Promise<void>
  /** A node, and a pool that it reaches, shown to Mesos. */
  pool(name: string, mesos: object): Promise<{ readonly node: NodeClient; readonly id: string }>
  showPool(name: string, mesos: object): Promise<void>
  stop(): Promise<void>
}

export interface WatchOptions extends Omit<MesosSettings, 'principal'> {
  /** A folder that outlives the controller. */
  readonly state?: string
  readonly principal?: string
}

export async function watch(options: WatchOptions): Promise<Watched> {
  const { state = ownDir(), principal = 'holdfast', ...settings } = options
  const logged: Record<string, unknown>[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
  const place = { state, host: '127.0.0.1', port: 0, insecure: false, leaseMs: 15_000, trustClock: true }
  const running = await runController({ ...place, log, mesos: { principal, ...settings } })
  const verdicts: string[] = []
  const { api, token, controller } = running
  controller.engine.onCommitted(({ events }) => {
    for (const event of events) if (event.type === 'guard.set') verdicts.push(verdictIn(event))
  })
  const nodes: NodeClient[] = []
  const ask = (method: string, path: string, body?: unknown) => askAt(api, method, path, body, { token })
  const stop = async () => {
    for (const node of nodes.splice(0)) await node.close()
    await running.stop()
  }
  onTestFinished(stop)
  const status = async () => (await ask('GET', '/v1/mesos')).body as MesosView
  return {
    ...{ api, token, controller, verdicts, logged, ask, status, stop },
    async guardIs(wanted, says = /^/) {
      let last: unknown
      const isSo = async () => {
        const { guard } = await status()
        last = guard
        return guard.state === wanted && says.test(guard.why.join('\n'))
      }
      await until(isSo, { what: `the guard to be ${wanted}: ${says}`, everyMs: 30, deadlineMs: 15_000 }).catch(
        (thrown: Error) => {
          throw new Error(`${thrown.message}; it is ${JSON.stringify(last)}`)
        },
      )
    },
    async pool(name, mesos) {
      const node = new NodeClient({ url: api, name: `on-${name.split('~').at(-1)}` })
      nodes.push(node)
      await node.start((await ask('POST', '/v1/tokens', { tokenRole: 'join' })).body.secret)
      const driver = { driver: 'loop', settings: { directory: '/srv/pool' }, capacityMiB: 10_000, markOn: node.name }
      const { status: code, body } = await ask('POST', '/v1/pools', { name, ...driver, mesos })
      if (code !== 201) throw new Error(JSON.stringify(body))
      const reached = async () => (await ask('GET', `/v1/pools/${name}`)).body.nodes === 1
      await until(reached, { what: `${name} to be reached` })
      return { node, id: body.id }
    },
    async showPool(name, mesos) {
      const { status: code, body } = await ask('PATCH', `/v1/pools/${name}`, { mesos })
      if (code !== 200) throw new Error(JSON.stringify(body))
    },
  }
}

export async function mesosFor(options: Partial<ClusterOptions> = {}): Promise<Mesos> {
  const mesos = await startMesos({ workDir: testDir(), ...options })
  onTestFinished(() => mesos.stop())
  return mesos
}

/** Removed when the test ends, after what it registers later. */
export function ownDir(): string {
  const dir = tempDir()
  onTestFinished(() => dir.remove())
  return dir.path
}

function verdictIn({ data }: LedgerEvent): string {
  return String((data as { state?: unknown }).state)
}
