/** An executor with its container and tasks. It is a process beside the agent's, and goes on when that dies. */
import { randomUUID } from 'node:crypto'
import type { ContainerMount } from './container-info.ts'
import { uuidBytes } from './ids.ts'
import type { TaskProcess } from './task-process.ts'
import {
  type ExecutorInfo,
  type FrameworkInfo,
  isTerminalTask,
  type Resource,
  type Task,
  type TaskInfo,
  type TaskStatus,
} from './types.ts'

export interface ExecutorTask {
  readonly info: TaskInfo
  readonly task: Task
  stage: 'queued' | 'launched' | 'terminated' | 'completed'
  /** Statuses that the framework has not acknowledged; only the first one is on its way. */
  readonly unacknowledged: TaskStatus[]
  process: TaskProcess | undefined
  killed: boolean
}

export class Executor {
  readonly framework: FrameworkInfo
  readonly info: ExecutorInfo
  readonly containerId = randomUUID()
  readonly sandbox: string
  readonly isCommand: boolean
  readonly tasks = new Map<string, ExecutorTask>()
  state: 'registering' | 'running' | 'terminated' = 'registering'
  /** Whether GET_CONTAINERS lists it. */
  hasContainer = false
  /** What an isolator has mounted for its container. */
  isolated: readonly ContainerMount[] = []
  /** Hands a status to the agent, if there is one. */
  onStatus: ((task: ExecutorTask, status: TaskStatus) => void) | undefined
  onIdle: (() => void) | undefined

  constructor(framework: FrameworkInfo, info: ExecutorInfo, sandboxes: string, isCommand: boolean) {
    this.framework = framework
    this.info = info
    this.isCommand = isCommand
    this.sandbox = `${sandboxes}/frameworks/${framework.id?.value}/executors/${info.executor_id.value}/runs/${this.containerId}`
  }

  get frameworkId(): string {
    return this.framework.id?.value ?? ''
  }

  get id(): string {
    return this.info.executor_id.value
  }

  /** Its own resources, and those of tasks that have not ended. */
  get allocated(): Resource[] {
    const live = [...this.tasks.values()].filter(({ stage }) => stage === 'queued' || stage === 'launched')
    return [...(this.info.resources ?? []), ...live.flatMap(({ task }) => task.resources)]
  }

  get pid(): number {
    return [...this.tasks.values()].map(({ process }) => process?.pid).find((pid) => pid !== undefined) ?? 0
  }

  queue(info: TaskInfo, task: Task): ExecutorTask {
    const queued: ExecutorTask = { info, task, stage: 'queued', unacknowledged: [], process: undefined, killed: false }
    this.tasks.set(info.task_id.value, queued)
    return queued
  }

  containerStatus(): object {
    return {
      container_id: { value: this.containerId },
      network_infos: [{ ip_addresses: [{ protocol: 'IPv4', ip_address: '127.0.0.1' }] }],
      executor_pid: this.pid,
    }
  }

  /** A new state of a task. It is kept until it is acknowledged. */
  say(entry: ExecutorTask, status: Pick<TaskStatus, 'state' | 'message' | 'reason' | 'source'>): void {
    const { agent_id, task_id } = entry.task
    const { state, message, source, reason } = status
    const full: TaskStatus = {
      task_id,
      state,
      ...(message === undefined ? {} : { message }),
      ...(source === undefined ? {} : { source }),
      ...(reason === undefined ? {} : { reason }),
      agent_id,
      executor_id: { value: this.id },
      timestamp: Date.now() / 1000,
      uuid: uuidBytes(),
      ...(source === 'SOURCE_EXECUTOR' ? { container_status: this.containerStatus() } : {}),
    }
    entry.task.state = state
    entry.task.statuses.push(full)
    if (isTerminalTask(state)) entry.stage = 'terminated'
    entry.unacknowledged.push(full)
    if (entry.unacknowledged.length === 1) this.onStatus?.(entry, full)
    const live = [...this.tasks.values()].some(({ stage }) => stage === 'queued' || stage === 'launched')
    if (!live) this.onIdle?.()
  }

  acknowledged(taskId: string, uuid: string): void {
    const entry = this.tasks.get(taskId)
    if (entry?.unacknowledged[0]?.uuid !== uuid) return
    const done = entry.unacknowledged.shift()
    if (done !== undefined && isTerminalTask(done.state)) entry.stage = 'completed'
    const next = entry.unacknowledged[0]
    if (next !== undefined) this.onStatus?.(entry, next)
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.tasks.values()].map(({ process }) => process?.destroy()))
  }
}
