/** A framework that acts as the page for their authors says. */
import { setTimeout as delay } from 'node:timers/promises'
import type { OperationStatus, Resource } from '../../../../src/mesos/resource.ts'
import type { AgentDouble } from '../../../support/mesos/cluster.ts'
import { type FrameworkOptions, TestFramework } from '../../../support/mesos/framework.ts'
import type { Offer, OfferOperation, TaskState, TaskStatus } from '../../../support/mesos/types.ts'
import { until } from '../../../support/until.ts'
import { amountOf, createDisk, isRaw, isVolume, launch, merged, part, reservedTo } from './operations.ts'

export type ClientOptions = Partial<FrameworkOptions> & { readonly roles: readonly string[] }

/** All that a framework is offered of one agent for one role at the moment. */
export interface Hand {
  readonly offers: readonly Offer[]
  readonly resources: readonly Resource[]
}

export interface DiskWish {
  readonly pool: string
  readonly sizeMiB: number
  /** `plain` if not given; null: none is named. */
  readonly profile?: string | null
  readonly target?: 'MOUNT' | 'BLOCK'
  /** The first role of the framework if not given. */
  readonly role?: string
  readonly id?: string
}

const ENDED = ['TASK_FINISHED', 'TASK_FAILED', 'TASK_KILLED', 'TASK_ERROR', 'TASK_DROPPED', 'TASK_LOST'] as const
/** Ways in which an offer can have been out of date: the next one is waited for. */
const OUT_OF_DATE = ['OPERATION_DROPPED', 'OPERATION_ERROR']
const PATIENCE_MS = 20_000
const DECLINE_MS = 2500

let lastId = 0

export function newId(what: string): string {
  lastId += 1
  return `${what}-${lastId}`
}

export class Client {
  readonly framework: TestFramework
  readonly role: string

  private constructor(framework: TestFramework, role: string) {
    this.framework = framework
    this.role = role
  }

  static async connect(masterUrl: string, options: ClientOptions): Promise<Client> {
    const framework = await TestFramework.connect(masterUrl, { name: newId('f'), failoverTimeout: 60, ...options })
    return new Client(framework, options.roles[0] ?? '*')
  }

  hand(agent: AgentDouble, role = this.role): Hand {
    const offers = [...this.framework.offers.values()].filter(
      ({ agent_id, allocation_info }) => agent_id.value === agent.agentId && allocation_info.role === role,
    )
    return { offers, resources: offers.flatMap(({ resources }) => resources) }
  }

  /** Waits until what is offered of an agent has what is looked for. */
  async look<T>(agent: AgentDouble, find: (hand: Hand) => T | undefined, what: string, role = this.role) {
    return until(
      () => {
        const hand = this.hand(agent, role)
        const found = find(hand)
        return found === undefined ? undefined : { hand, found }
      },
      { what: `${what} in the offers of ${agent.hostname} for ${role}`, deadlineMs: PATIENCE_MS, everyMs: 3 },
    )
  }

  /** MiB of a pool's capacity that an agent offers, under one stack of reservations each. */
  rawMiB(agent: AgentDouble, pool: string, role = this.role): number {
    return this.hand(agent, role)
      .resources.filter((each) => isRaw(each, pool))
      .reduce((sum, each) => sum + amountOf(each), 0)
  }

  async raw(agent: AgentDouble, pool: string, atLeastMiB = 1, role = this.role) {
    const find = ({ resources }: Hand) => {
      const raw = merged(resources.filter((each) => isRaw(each, pool) && isFor(each, role)))
      return raw !== undefined && amountOf(raw) >= atLeastMiB ? raw : undefined
    }
    return this.look(agent, find, `${atLeastMiB} MiB of ${pool}`, role)
  }

  /** Waits until exactly so much is offered. */
  async exactly(agent: AgentDouble, pool: string, sizeMiB: number, role = this.role): Promise<void> {
    const what = `exactly ${sizeMiB} MiB of ${pool} in the offers of ${agent.hostname} for ${role}`
    await this.#patiently(agent, role, what, () => this.rawMiB(agent, pool, role) === sizeMiB).catch(
      (thrown: Error) => {
        const told = agent.state.total
          .filter((each) => isRaw(each, pool))
          .map((each) => [reservedTo(each), amountOf(each)])
        const held = `${this.rawMiB(agent, pool, role)} are offered, and the agent was told ${JSON.stringify(told)}`
        throw new Error(`${thrown.message}: ${held}`)
      },
    )
  }

  /** Waits until a disk is not offered. */
  async without(agent: AgentDouble, volumeId: string, role = this.role): Promise<void> {
    const what = `${agent.hostname} not to offer disk ${volumeId} for ${role}`
    await this.#patiently(agent, role, what, () => {
      return !this.hand(agent, role).resources.some((each) => isVolume(each, volumeId))
    })
  }

  /**
   * An offer that was on its way when the agent's totals changed is made all the same, and stays: like any framework
   * this one declines after a while what is of no use.
   */
  async #patiently(agent: AgentDouble, role: string, what: string, isSo: () => boolean): Promise<void> {
    let patientUntil = performance.now() + DECLINE_MS
    const look = async () => {
      if (isSo()) return true
      if (performance.now() < patientUntil) return false
      patientUntil = performance.now() + DECLINE_MS
      await this.framework.decline(this.hand(agent, role).offers, 0)
      return false
    }
    await until(look, { what, deadlineMs: PATIENCE_MS, everyMs: 3 })
  }

  async disk(agent: AgentDouble, volumeId: string, role = this.role) {
    const find = ({ resources }: Hand) => resources.find((each) => isVolume(each, volumeId))
    return this.look(agent, find, `disk ${volumeId}`, role)
  }

  /** Operations on all that is offered of an agent. @returns the first status of the one named */
  async operate(hand: Hand, operations: readonly OfferOperation[], nth = 0): Promise<OperationStatus> {
    await this.framework.accept(hand.offers, operations)
    return this.framework.operationStatus(operations[nth]?.id?.value ?? '', PATIENCE_MS)
  }

  /** One CREATE_DISK, however it ends. */
  async createDisk(agent: AgentDouble, wish: DiskWish): Promise<OperationStatus> {
    const { pool, sizeMiB, profile = 'plain', target = 'MOUNT', role = this.role, id = newId('create') } = wish
    const { hand, found } = await this.raw(agent, pool, sizeMiB, role)
    return this.operate(hand, [createDisk(id, part(found, sizeMiB), profile ?? undefined, target)])
  }

  /** Repeats it while it meets offers that are out of date. */
  async madeAs(agent: AgentDouble, wish: DiskWish): Promise<OperationStatus> {
    for (let tries = 0; tries < 20; tries += 1) {
      const status = await this.createDisk(agent, wish)
      if (status.state === 'OPERATION_FINISHED') return status
      if (!OUT_OF_DATE.includes(status.state)) throw new Error(`${status.state}: ${status.message}`)
    }
    throw new Error('all offers of a disk were out of date')
  }

  /** The same. @returns the disk */
  async made(agent: AgentDouble, wish: DiskWish): Promise<Resource> {
    const [disk] = (await this.madeAs(agent, wish)).converted_resources ?? []
    if (disk === undefined) throw new Error('nothing was made')
    return disk
  }

  /** Offers of one agent with the disk and with processors. */
  async ready(agent: AgentDouble, volumeId: string, role = this.role) {
    const find = ({ resources }: Hand) => {
      const has = (name: string, least: number) =>
        resources.some((each) => each.name === name && amountOf(each) >= least)
      return has('cpus', 0.1) && has('mem', 32) ? resources.find((each) => isVolume(each, volumeId)) : undefined
    }
    return this.look(agent, find, `disk ${volumeId} and processors`, role)
  }

  /** Starts a task once. @returns its id */
  async launch(agent: AgentDouble, volumeId: string, command: string, role = this.role): Promise<string> {
    const { hand, found } = await this.ready(agent, volumeId, role)
    const taskId = newId('task')
    await this.framework.accept(hand.offers, [launch(taskId, agent.id, command, [found])])
    return taskId
  }

  ended(taskId: string): Promise<TaskStatus> {
    return this.framework.taskStatus(taskId, ENDED, PATIENCE_MS)
  }

  /** Runs a task, again while somebody else has the volume. @returns its id; it has finished well */
  ran(agent: AgentDouble, volumeId: string, command: string, role = this.role): Promise<string> {
    return this.#started(['TASK_FINISHED'], agent, volumeId, command, role)
  }

  /** Starts a task, again while somebody else has the volume. @returns its id; it runs */
  running(agent: AgentDouble, volumeId: string, command: string, role = this.role): Promise<string> {
    return this.#started(['TASK_RUNNING'], agent, volumeId, command, role)
  }

  async #started(
    wanted: readonly TaskState[],
    agent: AgentDouble,
    volumeId: string,
    command: string,
    role: string,
  ): Promise<string> {
    const end = performance.now() + PATIENCE_MS
    for (;;) {
      const taskId = await this.launch(agent, volumeId, command, role)
      const { state, reason, message } = await this.framework.taskStatus(taskId, [...wanted, ...ENDED], PATIENCE_MS)
      if (wanted.includes(state)) return taskId
      if (!isLate(reason, message) || performance.now() > end)
        throw new Error(`${taskId}: ${state} ${reason}: ${message}`)
      await delay(100)
    }
  }

  /** In the order of their coming. */
  count(type: string): number {
    return this.framework.events.filter((event) => event.type === type).length
  }

  async end(): Promise<void> {
    await this.framework.teardown().catch(() => undefined)
  }
}

/** The offer was out of date, or somebody else has the volume: the next offer is waited for. */
function isLate(reason: string | undefined, message = ''): boolean {
  return reason === 'REASON_INVALID_OFFERS' || message.includes('Failed to publish resources')
}

/** Unreserved, or reserved for exactly this role. */
function isFor(resource: Resource, role: string): boolean {
  const owner = reservedTo(resource)
  return owner === undefined || owner === role
}

export function idOf(disk: Resource): string {
  return disk.disk?.source?.id ?? ''
}
