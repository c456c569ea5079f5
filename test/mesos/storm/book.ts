/** What the frameworks were told, and what must be true because of it. */
import type { OperationStatus } from '../../../src/mesos/resource.ts'
import { isTerminalOperation, isTerminalTask, type TaskStatus } from '../../support/mesos/types.ts'
import { poolOf } from './offered.ts'

export interface AskedOperation {
  readonly id: string
  readonly kind: string
  readonly framework: string
  readonly agentId: string
  readonly providerId: string | undefined
  readonly volumeId: string | undefined
  readonly askedAt: number
  status: OperationStatus['state'] | undefined
}

export interface KnownVolume {
  readonly id: string
  /** The last part of the pool's name. */
  readonly pool: string
  readonly sizeMiB: number
  /** `leaving`: its end was asked for; `unsure`: that had no answer. */
  state: 'there' | 'leaving' | 'unsure' | 'gone'
}

export interface KnownTask {
  readonly id: string
  readonly framework: string
  readonly agentId: string
  readonly volumeId: string
  readonly sentAt: number
  state: TaskStatus['state'] | undefined
}

export class Book {
  readonly operations = new Map<string, AskedOperation>()
  readonly volumes = new Map<string, KnownVolume>()
  readonly tasks = new Map<string, KnownTask>()
  /** What was done and how it came out. */
  readonly counts = new Map<string, number>()
  /** Sentences of refusals, without what is particular to each. */
  readonly reasons = new Map<string, number>()
  /** What must never be, with what is wrong. */
  readonly violations: string[] = []
  /** What happened when, for whoever looks into it. */
  readonly chronicle: string[] = []
  readonly #capacities: ReadonlyMap<string, number>
  /** Ends of volumes whose making its framework has not heard of yet: another one of the role may be faster. */
  readonly #early = new Map<string, KnownVolume['state']>()

  /** @param capacities MiB by the last part of the pool's name */
  constructor(capacities: ReadonlyMap<string, number>) {
    this.#capacities = capacities
  }

  count(what: string, outcome: string): void {
    const key = `${what} ${outcome}`
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }

  tell(what: string): void {
    this.chronicle.push(`${new Date().toISOString()} ${what}`)
  }

  asked(operation: Omit<AskedOperation, 'askedAt' | 'status'>): void {
    this.tell(`${operation.kind} ${operation.id} of ${operation.framework} on ${operation.agentId}`)
    this.operations.set(operation.id, { ...operation, askedAt: performance.now(), status: undefined })
    if (operation.kind === 'DESTROY_DISK') this.leaving(operation.volumeId ?? '')
  }

  operationStatus(status: OperationStatus): void {
    const operation = this.operations.get(status.operation_id?.value ?? '')
    if (operation === undefined || (operation.status !== undefined && isTerminalOperation(operation.status))) return
    const unknown = status.state === 'OPERATION_UNKNOWN' || status.state === 'OPERATION_GONE_BY_OPERATOR'
    if (!isTerminalOperation(status.state) && !unknown) return
    this.#end(operation, status)
  }

  /** Nobody will ever be told how it went. */
  forget(operation: AskedOperation, why: string): void {
    if (operation.status !== undefined) return
    operation.status = 'OPERATION_UNKNOWN'
    if (operation.kind === 'DESTROY_DISK') this.unsure(operation.volumeId ?? '')
    this.count(operation.kind, why)
  }

  #end(operation: AskedOperation, status: OperationStatus): void {
    operation.status = status.state
    this.tell(`${operation.id} ${status.state} ${status.message ?? ''}`)
    this.count(operation.kind, status.state.replace('OPERATION_', ''))
    if (status.state === 'OPERATION_FAILED' || status.state === 'OPERATION_DROPPED') {
      const reason = `${operation.kind} ${masked(status.message ?? '')}`
      this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1)
    }
    const isUnknown = status.state === 'OPERATION_UNKNOWN'
    if (operation.kind === 'DESTROY_DISK') {
      const id = operation.volumeId ?? ''
      if (status.state === 'OPERATION_FINISHED') this.gone(id)
      else if (isUnknown) this.unsure(id)
      else this.stays(id)
    }
    if (operation.kind !== 'CREATE_DISK' || status.state !== 'OPERATION_FINISHED') return
    for (const { disk, scalar } of status.converted_resources ?? []) {
      if (disk?.source?.id === undefined) this.violations.push(`${operation.id} FINISHED without a disk`)
      else this.#made(disk.source.id, poolOf(disk.source), scalar?.value ?? 0, operation.id)
    }
  }

  #made(id: string, pool: string, sizeMiB: number, by: string): void {
    if (this.volumes.has(id)) this.violations.push(`volume ${id} was made twice, at last by ${by}`)
    this.volumes.set(id, { id, pool, sizeMiB, state: this.#early.get(id) ?? 'there' })
    const granted = this.granted(pool)
    const capacity = this.#capacities.get(pool) ?? 0
    if (granted > capacity) this.violations.push(`${pool}: ${granted} MiB are granted, it has ${capacity} (${by})`)
  }

  /** MiB of a pool that frameworks were told they have, and that nobody has begun to give back. */
  granted(pool: string): number {
    const there = [...this.volumes.values()].filter((each) => each.pool === pool && each.state === 'there')
    return there.reduce((sum, { sizeMiB }) => sum + sizeMiB, 0)
  }

  leaving(id: string): void {
    if (this.#stateOf(id) === 'there') this.#become(id, 'leaving')
  }

  /** Its end was refused. */
  stays(id: string): void {
    if (this.#stateOf(id) === 'leaving') this.#become(id, 'there')
  }

  unsure(id: string): void {
    if (this.#stateOf(id) !== 'gone') this.#become(id, 'unsure')
  }

  gone(id: string): void {
    this.#become(id, 'gone')
  }

  #stateOf(id: string): KnownVolume['state'] {
    return this.volumes.get(id)?.state ?? this.#early.get(id) ?? 'there'
  }

  #become(id: string, state: KnownVolume['state']): void {
    const volume = this.volumes.get(id)
    if (volume === undefined) this.#early.set(id, state)
    else volume.state = state
  }

  launched(task: Omit<KnownTask, 'sentAt' | 'state'>): void {
    this.tell(`LAUNCH ${task.id} of ${task.framework} on ${task.agentId} with ${task.volumeId}`)
    this.tasks.set(task.id, { ...task, sentAt: performance.now(), state: undefined })
  }

  taskStatus(status: TaskStatus): void {
    const task = this.tasks.get(status.task_id.value)
    if (task === undefined || task.state === status.state) return
    // what was unknown to a master that had just come may turn up
    if (task.state !== undefined && isTerminalTask(task.state)) return
    task.state = status.state
    this.tell(`${task.id} ${status.state} ${status.message ?? ''}`)
    if (!isEnd(status.state)) return
    this.count('LAUNCH', [status.state.replace('TASK_', ''), shortReason(status)].filter(Boolean).join(' '))
    if (status.message?.includes('exited with status 77')) this.violations.push(`task ${task.id} found something wrong`)
  }

  taskForgotten(task: KnownTask, why: string): void {
    if (task.state !== undefined && isEnd(task.state)) return
    task.state = 'TASK_UNKNOWN'
    this.count('LAUNCH', why)
  }

  get openOperations(): AskedOperation[] {
    return [...this.operations.values()].filter(({ status }) => status === undefined)
  }

  get openTasks(): KnownTask[] {
    return [...this.tasks.values()].filter(({ state }) => state === undefined || !isEnd(state))
  }
}

/** UNKNOWN: the master has forgotten it, and so has its agent. */
function isEnd(state: TaskStatus['state']): boolean {
  return isTerminalTask(state) || state === 'TASK_UNKNOWN'
}

function shortReason({ reason }: TaskStatus): string {
  return (reason ?? '').replace('REASON_', '').toLowerCase()
}

function masked(text: string): string {
  return text
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID')
    .replace(/\b(vol|op|node|pool)-[0-9a-v]{21}\b/g, '$1-ID')
    .replace(/[\d,]*\d/g, 'N')
    .slice(0, 240)
}
