/** The program itself, as an operator runs it: signals, kills, upgrades of its inner half. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { BIN, environment, holdfast, start as startProgram } from '../../cli/holdfast.ts'
import { takeBack } from '../../e2e/support/node-cleanup.ts'
import { startMesos } from '../../support/mesos/cluster.ts'
import { TestFramework } from '../../support/mesos/framework.ts'
import { needs } from '../../support/missing.ts'
import { childrenOf } from '../../support/processes.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { isRaw, World } from './support/provider-world.ts'
import { makeDisk, rawOffer, run, start, volumeIdOf } from './support/stories.ts'

class Program {
  readonly #args: readonly string[]
  readonly #log: string
  #child: ChildProcess | undefined

  constructor(world: World, number: number) {
    const { node, agent, socket } = world.machine(number)
    const dir = join(world.dir, node.name)
    const api = node.options.api
    this.#log = join(dir, 'program.log')
    this.#args = [
      ...['mesos', 'provider', '--agent', agent.url, '--api', api, '--state', join(dir, 'program')],
      ...['--node-socket', socket, '--credential', join(dir, 'state')],
    ]
    onTestFinished(() => this.end('SIGKILL').then(() => undefined))
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  start(): void {
    const log = openSync(this.#log, 'a')
    this.#child = spawn(BIN, this.#args, { env: environment(), stdio: ['ignore', log, log] })
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null
    const gone = once(child, 'exit') as Promise<[number | null]>
    child.kill(signal)
    return (await gone)[0]
  }

  /** The pid of the inner half. */
  async logic(): Promise<number> {
    return until(() => childrenOf(this.pid).at(0), { what: 'the inner half' })
  }

  log(): string {
    return readFileSync(this.#log, 'utf8')
  }
}

needs('root', 'loop-devices', 'unshare', 'mkfs.ext4').describe('holdfast mesos provider', () => {
  const { test } = needs('root')

  test('its inner half is killed and reloaded without the agent noticing; killed itself it comes back as the same', async () => {
    const world = await World.start({ machines: 2 })
    const [{ agent: a1 }, { agent: a2 }] = [world.machine(1), world.machine(2)]
    await world.stopProvider(1)
    const program = new Program(world, 1)
    program.start()
    const framework = await world.framework()
    await rawOffer(framework, a1)
    const ids = () => [...(world.mesos.master.state.agents.get(a1.id)?.providers.keys() ?? [])]
    const before = ids()

    const first = await program.logic()
    process.kill(first, 'SIGKILL')
    await until(() => childrenOf(program.pid).some((pid) => pid !== first), { what: 'a new inner half' })
    const volume = volumeIdOf(await makeDisk(framework, a1, 'make'))
    const second = await program.logic()
    process.kill(program.pid, 'SIGHUP')
    await until(() => childrenOf(program.pid).some((pid) => pid !== second), { what: 'the reloaded inner half' })
    await start(framework, a1, volume, { id: 'long', command: 'sleep 4; echo done > data/f' })
    await framework.taskStatus('long', ['TASK_RUNNING'])
    expect(program.log().match(/"event":"stream.open"/g)).toHaveLength(1)

    const third = await program.logic()
    await program.end('SIGKILL')
    await until(() => !isAlive(third), { what: 'the inner half to end with the outer one' })
    program.start()
    await rawOffer(framework, a1)
    expect(ids()).toEqual(before)
    expect(await framework.taskStatus('long', ['TASK_FINISHED', 'TASK_FAILED'], 20_000)).toMatchObject({
      state: 'TASK_FINISHED',
    })
    const read = await run(framework, a2, volume, { id: 'reads', command: 'grep -q done data/f' })
    expect(read).toMatchObject({ state: 'TASK_FINISHED' })

    expect(await program.end('SIGTERM')).toBe(0)
    const left = [...framework.offers.values()].filter(({ agent_id }) => agent_id.value === a1.id)
    expect(left.flatMap(({ resources }) => resources).filter(isRaw)).toEqual([])
    expect(world.mesos.aborts).toEqual([])
  })

  test('a second one for the same agent is refused, whatever its state directory', async () => {
    const world = await World.start({ machines: 1 })
    const { agent, socket } = world.machine(1)
    const state = join(testDir(), 'other')
    const args = ['mesos', 'provider', '--agent', agent.url, '--state', state, '--node-socket', socket]
    const ran = await holdfast(args)
    expect(ran).toMatchObject({ code: 5, err: expect.stringContaining('two would abort the agent') })
    expect(world.mesos.aborts).toEqual([])
  })

  test('dev runs the providers of the agents that it is given', async () => {
    const dir = testDir()
    const mesos = await startMesos({ workDir: join(dir, 'mesos') })
    onTestFinished(() => mesos.stop())
    const [agent] = mesos.agents
    const args = [
      'dev',
      '--dir',
      join(dir, 'd'),
      '--nodes',
      '1',
      '--docker',
      'off',
      '--json',
      '--mesos',
      agent?.url ?? '',
    ]
    const child = startProgram(args)
    onTestFinished(async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      takeBack(dir, 'hf-', [])
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const line = await until(() => (said.includes('\n') ? said : undefined), {
      what: 'the ready line',
      deadlineMs: 40_000,
    })
    const { api, token, pool, nodes } = JSON.parse(line)
    expect(nodes).toMatchObject([{ name: 'node-1', mesos: agent?.url }])
    const env = { HOLDFAST_API: api, HOLDFAST_TOKEN: token }
    expect(await holdfast(['profile', 'set', 'default', '--fs', 'ext4'], env)).toMatchObject({ code: 0 })
    expect(await holdfast(['pool', 'set', pool, '--mesos-roles', 'ads'], env)).toMatchObject({ code: 0 })
    const framework = await TestFramework.connect(mesos.master.url, { name: 'f', roles: ['ads'] })
    onTestFinished(() => framework.disconnect())
    await framework.waitOffer(({ resources }) => resources.some(isRaw), 20_000)
    child.kill('SIGTERM')
    expect((await once(child, 'exit'))[0]).toBe(0)
    expect(mesos.aborts).toEqual([])
  })

  test('without the URL of an agent it says where to give one', async () => {
    const ran = await holdfast(['mesos', 'provider'])
    expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('--agent') })
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
