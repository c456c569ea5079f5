import { randomUUID } from 'node:crypto'
import { asPersistent, diskOf, type Offer, type Resource, rawOf, takeScalar } from './offers.ts'

/** What outlives this program: written before anything is asked of the master that depends on it. */
export interface DatabaseState {
  frameworkId?: string
  /** Id of the volume, once there is one. */
  volumeId?: string
  /** The CREATE_DISK that is under way. */
  operation?: { id: string; agentId: string; providerId: string }
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

const PAUSE_MS = 5000

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
  readonly #now: () => number
  readonly #held = new Map<string, Offer>()
  /** Until then no capacity is asked for: what was refused just now would be refused again. */
  #pausedUntil = 0

  /** @param now milliseconds since whenever */
  constructor(wish: DatabaseWish, state: DatabaseState, save: () => void, now: () => number) {
    this.#wish = wish
    this.#state = state
    this.#save = save
    this.#now = now
  }

  rescinded(offerId: string): void {
    this.#held.delete(offerId)
  }

  disconnected(): void {
    this.#held.clear()
  }

  /** What to do with new offers: take, keep for a moment, or decline for five seconds. */
  offered(offers: readonly Offer[]): Step[] {
    for (const offer of offers) this.#held.set(offer.id.value, offer)
    const step = this.#next() ?? this.#askForMore(offers)
    const useless = [...this.#held.values()].filter((offer) => !this.#mayServe(offer)).map(({ id }) => id)
    for (const { value } of useless) this.#held.delete(value)
    const decline: Step = { call: { type: 'DECLINE', decline: { offer_ids: useless } }, why: 'of no use' }
    return [...(step === undefined ? [] : [step]), ...(useless.length === 0 ? [] : [decline])]
  }

  /** The disk and the processor may come in two offers of one agent, and we may have declined the other one before. */
  #askForMore(offers: readonly Offer[]): Step | undefined {
    const { volumeId } = this.#state
    if (this.#isBusy() || volumeId === undefined) return undefined
    if (!offers.some((offer) => diskOf(offer, volumeId) !== undefined)) return undefined
    return { call: { type: 'REVIVE' }, why: 'the volume is here, its task needs more' }
  }

  /** A status of our CREATE_DISK. */
  operation(status: {
    operation_id?: { value: string }
    state: string
    message?: string
    converted_resources?: Resource[]
  }) {
    if (status.operation_id === undefined || status.operation_id.value !== this.#state.operation?.id) return
    if (UNDECIDED.has(status.state)) return
    delete this.#state.operation
    if (status.state === 'OPERATION_FAILED') this.#pausedUntil = this.#now() + PAUSE_MS
    const made = status.converted_resources?.find((resource) => resource.disk?.source?.id !== undefined)
    const id = made?.disk?.source?.id
    if (status.state === 'OPERATION_FINISHED' && id !== undefined) this.#state.volumeId = id
    this.#save()
  }

  /** A status of our task. @returns whether it is an earlier task of ours that is still there, and has to go */
  task(status: { task_id: { value: string }; state: string }): boolean {
    const { task } = this.#state
    if (status.task_id.value !== task?.id) return !RUNNING_NO_MORE.has(status.state)
    task.unreachable = status.state === 'TASK_UNREACHABLE'
    if (RUNNING_NO_MORE.has(status.state)) delete this.#state.task
    this.#save()
    return false
  }

  /** A task that is cut off is replaced as soon as the volume is offered: then it is proven that it writes no more. */
  #isBusy(): boolean {
    const { task, operation } = this.#state
    return operation !== undefined || (task !== undefined && task.unreachable !== true)
  }

  #mayServe(offer: Offer): boolean {
    const { volumeId } = this.#state
    if (this.#isBusy() || volumeId === undefined) return false
    const here = [...this.#held.values()].filter((each) => each.agent_id.value === offer.agent_id.value)
    return here.some((each) => diskOf(each, volumeId) !== undefined)
  }

  #next(): Step | undefined {
    const { volumeId } = this.#state
    if (this.#isBusy()) return undefined
    return volumeId === undefined ? this.#createDisk() : this.#launch(volumeId)
  }

  #createDisk(): Step | undefined {
    if (this.#now() < this.#pausedUntil) return undefined
    for (const offer of this.#held.values()) {
      const raw = rawOf(offer, this.#wish)
      if (raw === undefined) continue
      this.#held.delete(offer.id.value)
      const id = `create-${randomUUID()}`
      this.#state.operation = { id, agentId: offer.agent_id.value, providerId: raw.provider_id?.value ?? '' }
      this.#save()
      const source = { ...raw, scalar: { value: this.#wish.sizeMiB } }
      const create = { source, target_type: 'MOUNT', target_profile: this.#wish.profile }
      const operation = { type: 'CREATE_DISK', id: { value: id }, create_disk: create }
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
