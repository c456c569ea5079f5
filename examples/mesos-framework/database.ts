import { randomUUID } from 'node:crypto'
import { asPersistent, diskOf, type Offer, type Resource, rawOf, takeScalar } from './offers.ts'

/** What outlives this program: written before anything is asked of the master that depends on it. */
export interface DatabaseState {
  frameworkId?: string
  /** Id of the volume, once there is one. */
  volumeId?: string
  /** The CREATE_DISK that is under way. */
  operationId?: string
  /** The task that runs, or may be running; on an agent that is cut off it may be replaced once the volume is free. */
  task?: { id: string; agentId: string; hostname: string; unreachable?: boolean }
}

export interface DatabaseWish {
  readonly role: string
  readonly principal?: string | undefined
  readonly sizeMiB: number
  /** IOPS that the profile asks for: pools that have fewer are declined. */
  readonly iops: number
  readonly profile: string
  readonly command: string
  readonly cpus: number
  readonly memMiB: number
}

/** A call to make; what it is about has been written to the state already. */
export type Step = { readonly call: Record<string, unknown>; readonly why: string }

const RUNNING_NO_MORE = new Set([
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_UNKNOWN',
  'TASK_ERROR',
])

/** An operation in one of these may still come to its end. */
const UNDECIDED = new Set(['OPERATION_PENDING', 'OPERATION_RECOVERING', 'OPERATION_UNREACHABLE'])

/**
 * One database: a volume that is made once, and a task that runs wherever the volume is offered. Two rules are all
 * there is to it: a volume that exists is never made again, and a task is started only where our volume is in the
 * offer, because it is offered nowhere while another task may still be writing to it.
 */
export class Database {
  readonly #wish: DatabaseWish
  readonly #state: DatabaseState
  readonly #save: () => void
  readonly #held = new Map<string, Offer>()

  constructor(wish: DatabaseWish, state: DatabaseState, save: () => void) {
    this.#wish = wish
    this.#state = state
    this.#save = save
  }

  rescinded(offerId: string): void {
    this.#held.delete(offerId)
  }

  disconnected(): void {
    this.#held.clear()
  }

  /** What to do with new offers. The disk and the processor may come in two offers of one agent: keep what may serve. */
  offered(offers: readonly Offer[]): Step[] {
    for (const offer of offers) this.#held.set(offer.id.value, offer)
    const step = this.#next()
    const declined = [...this.#held.values()].filter((offer) => !this.#mayServe(offer))
    for (const offer of declined) this.#held.delete(offer.id.value)
    const decline = declined.map((offer) => offer.id)
    return [
      ...(step === undefined ? [] : [step]),
      ...(decline.length === 0
        ? []
        : [{ call: { type: 'DECLINE', decline: { offer_ids: decline } }, why: 'of no use' }]),
    ]
  }

  /** A status of our CREATE_DISK. */
  operation(status: {
    operation_id?: { value: string }
    state: string
    message?: string
    converted_resources?: Resource[]
  }) {
    if (status.operation_id?.value !== this.#state.operationId) return
    if (UNDECIDED.has(status.state)) return
    delete this.#state.operationId
    const made = status.converted_resources?.find((resource) => resource.disk?.source?.id !== undefined)
    const id = made?.disk?.source?.id
    if (status.state === 'OPERATION_FINISHED' && id !== undefined) this.#state.volumeId = id
    this.#save()
  }

  /** A status of our task. */
  task(status: { task_id: { value: string }; state: string }): void {
    const { task } = this.#state
    if (task === undefined || status.task_id.value !== task.id) return
    task.unreachable = status.state === 'TASK_UNREACHABLE'
    if (RUNNING_NO_MORE.has(status.state)) delete this.#state.task
    this.#save()
  }

  /** A task that is cut off is replaced as soon as the volume is offered: then it is proven that it writes no more. */
  #isBusy(): boolean {
    const { task, operationId } = this.#state
    return operationId !== undefined || (task !== undefined && task.unreachable !== true)
  }

  #mayServe(offer: Offer): boolean {
    const { volumeId } = this.#state
    if (this.#isBusy()) return false
    if (volumeId === undefined) return rawOf(offer, this.#wish) !== undefined
    const agents = [...this.#held.values()].filter((each) => diskOf(each, volumeId) !== undefined)
    return agents.length === 0 || agents.some((each) => each.agent_id.value === offer.agent_id.value)
  }

  #next(): Step | undefined {
    const { volumeId } = this.#state
    if (this.#isBusy()) return undefined
    return volumeId === undefined ? this.#createDisk() : this.#launch(volumeId)
  }

  #createDisk(): Step | undefined {
    for (const offer of this.#held.values()) {
      const raw = rawOf(offer, this.#wish)
      if (raw === undefined) continue
      this.#held.delete(offer.id.value)
      const operationId = `create-${randomUUID()}`
      this.#state.operationId = operationId
      this.#save()
      const source = { ...raw, scalar: { value: this.#wish.sizeMiB } }
      const create = { source, target_type: 'MOUNT', target_profile: this.#wish.profile }
      const operation = { type: 'CREATE_DISK', id: { value: operationId }, create_disk: create }
      return accept([offer], [operation], `a volume is made through ${offer.hostname}`)
    }
    return undefined
  }

  #launch(volumeId: string): Step | undefined {
    for (const { agent_id, hostname } of this.#held.values()) {
      const offers = [...this.#held.values()].filter((each) => each.agent_id.value === agent_id.value)
      const disk = offers.map((each) => diskOf(each, volumeId)).find((each) => each !== undefined)
      const cpus = takeScalar(offers, 'cpus', this.#wish.cpus)
      const mem = takeScalar(offers, 'mem', this.#wish.memMiB)
      if (disk === undefined || cpus === undefined || mem === undefined) continue
      for (const each of offers) this.#held.delete(each.id.value)
      const id = `db-${randomUUID()}`
      this.#state.task = { id, agentId: agent_id.value, hostname }
      this.#save()
      const persistent = asPersistent(disk, { role: this.#wish.role, principal: this.#wish.principal })
      const info = {
        name: 'database',
        task_id: { value: id },
        agent_id,
        resources: [...cpus, ...mem, persistent.disk],
        command: { value: this.#wish.command },
      }
      const launch = { type: 'LAUNCH', launch: { task_infos: [info] } }
      return accept(offers, [...persistent.operations, launch], `the database starts on ${hostname}`)
    }
    return undefined
  }
}

function accept(offers: readonly Offer[], operations: readonly unknown[], why: string): Step {
  return { call: { type: 'ACCEPT', accept: { offer_ids: offers.map((offer) => offer.id), operations } }, why }
}
