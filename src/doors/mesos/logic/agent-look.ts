import type { AgentState } from '../../../mesos/agent-client.ts'
import type { AgentContainer, AgentExecutor, AgentTask } from '../../../mesos/agent-protocol.ts'
import type { Resource } from '../../../mesos/resource.ts'
import { BANDWIDTH } from '../advertise/disk-resources.ts'

/** What an agent said when it was asked what runs on it: both answers, or it is no look. */
export interface Look {
  readonly state: AgentState
  readonly containers: readonly AgentContainer[]
}

/** Which of our things are in use at that moment. */
export interface Findings {
  /** Volumes that a task or an executor which has not ended has. */
  readonly volumes: ReadonlySet<string>
  /** Executors that are there, as `framework/executor`, and containers, as `container/id`. */
  readonly alive: ReadonlySet<string>
  /** Of each volume those of them that have it or had it. */
  readonly users: ReadonlyMap<string, ReadonlySet<string>>
  /** Storage bandwidth that tasks and executors have, by provider id. */
  readonly bandwidth: ReadonlyMap<string, number>
}

interface Holder {
  readonly resources: readonly Resource[]
  readonly executor: string
  readonly isLive: boolean
}

/**
 * Reads the agent's lists. Tasks that have ended count for their executor, which may live on with what they had: the
 * executor of a command task does not name the task's volumes itself.
 */
export function findings({ state, containers }: Look): Findings {
  const { alive, ofExecutor } = aliveIn(state, containers)
  const volumes = new Set<string>()
  const users = new Map<string, Set<string>>()
  const bandwidth = new Map<string, number>()
  for (const { resources, executor, isLive } of holdersOf(state)) {
    const disks = volumesAmong(resources)
    if (isLive) {
      for (const id of disks) volumes.add(id)
      for (const resource of resources) addBandwidth(bandwidth, resource)
    }
    if (!isLive && !alive.has(executor)) continue
    const names = [executor, ...(ofExecutor.get(executor) ?? [])]
    for (const id of disks) users.set(id, new Set([...(users.get(id) ?? []), ...names]))
  }
  return { volumes, alive, users, bandwidth }
}

function volumesAmong(resources: readonly Resource[]): string[] {
  return resources.flatMap(({ provider_id, disk }) => {
    const id = disk?.source?.id
    return provider_id === undefined || id === undefined ? [] : [id]
  })
}

function holdersOf(state: AgentState): Holder[] {
  const live = [...state.pendingTasks, ...state.queuedTasks, ...state.launchedTasks]
  const ended = [...state.terminatedTasks, ...state.completedTasks]
  return [
    ...live.map((task) => ofTask(task, true)),
    ...ended.map((task) => ofTask(task, false)),
    ...state.executors.map((each) => ({
      resources: each.executor_info.resources ?? [],
      executor: nameOf(each),
      isLive: true,
    })),
  ]
}

function ofTask({ framework_id, executor_id, task_id, resources = [] }: AgentTask, isLive: boolean): Holder {
  return { resources, executor: key(framework_id?.value, executor_id?.value ?? task_id.value), isLive }
}

/** A nested container is part of its outermost one, which alone has an executor. */
function aliveIn(state: AgentState, containers: readonly AgentContainer[]) {
  const alive = new Set(state.executors.map(nameOf))
  const ofExecutor = new Map<string, string[]>()
  for (const { container_id, framework_id, executor_id } of containers) {
    let root = container_id
    while (root.parent !== undefined) root = root.parent
    const container = `container/${root.value}`
    alive.add(container)
    if (executor_id === undefined) continue
    const executor = key(framework_id?.value, executor_id.value)
    alive.add(executor)
    ofExecutor.set(executor, [...(ofExecutor.get(executor) ?? []), container])
  }
  return { alive, ofExecutor }
}

function nameOf({ executor_info: { framework_id, executor_id } }: AgentExecutor): string {
  return key(framework_id?.value, executor_id.value)
}

function key(framework: string | undefined, executor: string): string {
  return `${framework ?? ''}/${executor}`
}

function addBandwidth(sums: Map<string, number>, { name, provider_id, scalar }: Resource): void {
  if (name !== BANDWIDTH || provider_id === undefined) return
  sums.set(provider_id.value, (sums.get(provider_id.value) ?? 0) + (scalar?.value ?? 0))
}
