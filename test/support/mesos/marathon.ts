import { randomUUID } from 'node:crypto'
import { until } from '../until.ts'
import { TestFramework } from './framework.ts'
import { type MarathonApp, persistentVolumes } from './marathon-app.ts'
import { type Instance, launch, type MarathonIdentity, reserveAll } from './marathon-offers.ts'
import { type Violation, violations } from './marathon-rules.ts'
import { isTerminalTask, type Offer, type TaskStatus } from './types.ts'

/** Real Marathon: 20 s (--task_reservation_timeout). */
const RESERVATION_MS = 3000

/** Seconds for which it wants no more of an offer that is of no use; real Marathon takes 120 and revives. */
const REFUSE_SECONDS = 0.2

/** What an app that Marathon does not take is answered, with status 422. */
export class AppRefused extends Error {
  readonly violations: readonly Violation[]

  constructor(found: readonly Violation[]) {
    super(`Object is not valid: ${found.map(({ path, error }) => `${path} ${error}`).join('; ')}`)
    this.name = 'AppRefused'
    this.violations = found
  }
}

/** An instance's task that runs. */
export interface RunningTask {
  readonly taskId: string
  readonly agentId: string
  readonly hostname: string
}

/**
 * Plays Marathon's part towards Mesos, for apps with one instance: its rules, what it makes of volumes, and how it
 * reserves before it starts.
 */
export class Marathon {
  readonly #framework: TestFramework
  readonly #me: MarathonIdentity
  readonly #apps = new Map<string, { app: MarathonApp; instance: Instance; running?: RunningTask }>()

  private constructor(framework: TestFramework, me: MarathonIdentity) {
    this.#framework = framework
    this.#me = me
  }

  static async connect(masterUrl: string, options: { role?: string; principal?: string } = {}): Promise<Marathon> {
    const { role = 'marathon', principal = 'marathon' } = options
    const framework = await TestFramework.connect(masterUrl, {
      ...{ name: 'marathon', roles: [role], principal, failoverTimeout: 604_800 },
      capabilities: ['MULTI_ROLE', 'RESERVATION_REFINEMENT', 'PARTITION_AWARE'],
    })
    return new Marathon(framework, { frameworkId: framework.id, role, principal })
  }

  /** `POST /v2/apps`, until the app runs. @throws AppRefused when it breaks a rule */
  async deploy(app: MarathonApp, deadlineMs = 30_000): Promise<RunningTask> {
    const broken = violations(
      app,
      [...this.#apps.values()].map((each) => each.app),
    )
    if (broken.length > 0) throw new AppRefused(broken)
    const id = `${app.id.slice(1).replaceAll('/', '_')}.instance-${randomUUID()}`
    this.#apps.set(app.id, { app, instance: { id, appId: app.id, volumeIds: [], incarnation: 0 } })
    return this.#run(app.id, deadlineMs)
  }

  /** `POST /v2/apps/{id}/restart`: the old task ends before the new one starts. */
  async restart(appId: string, deadlineMs = 30_000): Promise<RunningTask> {
    await this.suspend(appId)
    return this.#run(appId, deadlineMs)
  }

  /** Ends the task; what the instance has reserved is kept. */
  async suspend(appId: string): Promise<void> {
    const entry = this.#entry(appId)
    if (entry.running === undefined) return
    await this.#framework.kill(entry.running.taskId)
    await this.#ended(entry.running.taskId)
    delete entry.running
  }

  #ended(taskId: string): Promise<TaskStatus> {
    const last = () => this.#framework.statuses(taskId).find(({ state }) => isTerminalTask(state))
    return until(last, { what: `${taskId} to end` })
  }

  /** How the app's tasks ended and why, the latest last: what Marathon shows as `lastTaskFailure`. */
  failures(appId: string): readonly TaskStatus[] {
    const { instance } = this.#entry(appId)
    const tasks = Array.from({ length: instance.incarnation }, (_, index) => `${instance.id}._app.${index + 1}`)
    return tasks.flatMap((id) => this.#framework.statuses(id).filter(({ state }) => isTerminalTask(state)))
  }

  volumeIds(appId: string): readonly string[] {
    return this.#entry(appId).instance.volumeIds
  }

  /** Ends the framework and its tasks. */
  async stop(): Promise<void> {
    await this.#framework.teardown()
  }

  #entry(appId: string) {
    const entry = this.#apps.get(appId)
    if (entry === undefined) throw new Error(`app ${appId} does not exist`)
    return entry
  }

  async #run(appId: string, deadlineMs: number): Promise<RunningTask> {
    const end = performance.now() + deadlineMs
    const entry = this.#entry(appId)
    for (;;) {
      const left = end - performance.now()
      if (left <= 0)
        throw new Error(`${appId} does not run: ${this.failures(appId).at(-1)?.message ?? 'no offer fits'}`)
      const running = await this.#attempt(appId, left)
      if (running === undefined) continue
      entry.running = running
      return running
    }
  }

  /** One try: reservation first where there are persistent volumes, then the launch. */
  async #attempt(appId: string, deadlineMs: number): Promise<RunningTask | undefined> {
    const entry = this.#entry(appId)
    if (persistentVolumes(entry.app).length > 0 && entry.instance.volumeIds.length === 0) {
      await this.#reserve(appId, deadlineMs)
    }
    const { app, instance } = entry
    const wait = instance.volumeIds.length > 0 && instance.incarnation === 0 ? RESERVATION_MS : deadlineMs
    const found = await this.#match((offer) => launch(this.#me, app, instance, offer), wait).catch(() => undefined)
    if (found === undefined) {
      // the reservation never came about: the offer had been taken back
      if (instance.incarnation === 0) entry.instance = { ...instance, volumeIds: [] }
      return undefined
    }
    entry.instance = { ...instance, incarnation: instance.incarnation + 1 }
    const { offer, matched } = found
    await this.#framework.accept([offer], matched.operations)
    const states = [
      'TASK_RUNNING',
      'TASK_FINISHED',
      'TASK_FAILED',
      'TASK_DROPPED',
      'TASK_ERROR',
      'TASK_KILLED',
    ] as const
    const status = await this.#framework.taskStatus(matched.taskId, states, 30_000)
    if (status.state !== 'TASK_RUNNING') return undefined
    return { taskId: matched.taskId, agentId: offer.agent_id.value, hostname: offer.hostname }
  }

  async #reserve(appId: string, deadlineMs: number): Promise<void> {
    const entry = this.#entry(appId)
    const { app, instance } = entry
    const { offer, matched } = await this.#match((each) => reserveAll(this.#me, app, instance, each), deadlineMs)
    await this.#framework.accept([offer], matched.operations)
    entry.instance = { ...instance, volumeIds: matched.volumeIds }
  }

  /** Waits for one offer that serves; declines the others, so that what is apart comes together. */
  #match<T>(use: (offer: Offer) => T | undefined, deadlineMs: number): Promise<{ offer: Offer; matched: T }> {
    const look = async () => {
      const offers = [...this.#framework.offers.values()]
      for (const offer of offers) {
        const matched = use(offer)
        if (matched !== undefined) return { offer, matched }
      }
      if (offers.length > 0) await this.#framework.decline(offers, REFUSE_SECONDS)
      return undefined
    }
    return until(look, { what: 'an offer that fits', deadlineMs, everyMs: 20 }) as Promise<{ offer: Offer; matched: T }>
  }
}
