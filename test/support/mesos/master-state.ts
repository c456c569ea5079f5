/** What one run of a master knows. It is gone when the process is; only the registry outlives it. */
import type { Hazards } from './aborts.ts'
import type { Authorizer } from './acls.ts'
import type { Allocator } from './allocator.ts'
import { namedResources } from './conversions.ts'
import type { EventStream } from './http-host.ts'
import type {
  Attribute,
  FrameworkInfo,
  Offer,
  OfferOperation,
  ProviderInfoWithId,
  Resource,
  Task,
  TrackedOperation,
} from './types.ts'
import { isSpeculative, isTerminalOperation, isTerminalTask } from './types.ts'
import type { AgentPort, Wire } from './wire.ts'

export interface ProviderRecord {
  info: ProviderInfoWithId
  total: readonly Resource[]
  version: string
  readonly operations: Map<string, TrackedOperation>
}

export interface AgentRecord {
  readonly id: string
  port: AgentPort
  readonly hostname: string
  readonly httpPort: number
  readonly resources: readonly Resource[]
  readonly attributes: readonly Attribute[]
  total: readonly Resource[]
  version: string
  readonly providers: Map<string, ProviderRecord>
  /** On the agent's own resources. */
  readonly operations: Map<string, TrackedOperation>
  readonly orphans: Set<string>
  /** By framework and task. */
  readonly tasks: Map<string, Task>
  connected: boolean
  readonly registeredAt: number
  reregisteredAt: number | undefined
}

export interface FrameworkRecord {
  readonly id: string
  info: FrameworkInfo
  stream: EventStream | undefined
  suppressed: readonly string[]
  readonly operations: Map<string, TrackedOperation>
  readonly completedTasks: Task[]
  failoverTimer: NodeJS.Timeout | undefined
  heartbeat: NodeJS.Timeout | undefined
}

export interface MasterFlags {
  readonly acls: unknown
  readonly allocationIntervalMs: number
  readonly minAllocatable: string
  readonly fragmentGrowth: boolean
  readonly credentials: readonly { readonly principal: string; readonly secret: string }[]
}

export interface MasterState {
  readonly id: string
  readonly port: number
  readonly startedAt: number
  readonly flags: MasterFlags
  readonly hazards: Hazards
  readonly authorizer: Authorizer
  readonly allocator: Allocator
  readonly wire: Wire
  readonly agents: Map<string, AgentRecord>
  readonly frameworks: Map<string, FrameworkRecord>
  readonly completed: Map<string, FrameworkRecord>
  readonly offers: Map<string, Offer>
  readonly subscribers: Set<EventStream>
  readonly registry: Registry
  nextOffer: number
  nextFramework: number
  readonly counters: Map<string, number>
  /** Runs something as one step of this process; a failed CHECK in it is its end. */
  readonly turn: (step: () => void) => void
}

/** What a master keeps on disk. */
export interface Registry {
  readonly admitted: Set<string>
  readonly gone: Set<string>
  nextAgent: number
}

export function describeAgent(agent: AgentRecord): string {
  return `${agent.id} at slave(1)@127.0.0.1:${agent.httpPort} (${agent.hostname})`
}

export function taskKey(frameworkId: string, taskId: string): string {
  return `${frameworkId} ${taskId}`
}

export function tasksOf(agent: AgentRecord, frameworkId: string): Task[] {
  return [...agent.tasks.values()].filter(({ framework_id }) => framework_id.value === frameworkId)
}

export function findOperation(agent: AgentRecord, uuid: string): TrackedOperation | undefined {
  const own = agent.operations.get(uuid)
  if (own !== undefined) return own
  for (const { operations } of agent.providers.values()) {
    const found = operations.get(uuid)
    if (found !== undefined) return found
  }
  return undefined
}

export function operationsOf(agent: AgentRecord): TrackedOperation[] {
  return [
    ...agent.operations.values(),
    ...[...agent.providers.values()].flatMap(({ operations }) => [...operations.values()]),
  ]
}

/** Whether the operation keeps its resources from others until it ends. */
export function occupies(operation: TrackedOperation): boolean {
  return !isSpeculative(operation.info) && !isTerminalOperation(operation.latest_status.state)
}

/** What frameworks have in use on an agent: tasks, and operations that have not ended. */
export function usedOn(agent: AgentRecord): Resource[] {
  const tasks = [...agent.tasks.values()].filter(({ state }) => !isTerminalTask(state))
  const operations = operationsOf(agent).filter(
    (operation) => occupies(operation) && !agent.orphans.has(operation.uuid.value),
  )
  return [...tasks.flatMap(({ resources }) => resources), ...operations.flatMap(({ info }) => namedResources(info))]
}

export function offersOn(master: MasterState, agentId: string): Offer[] {
  return [...master.offers.values()].filter(({ agent_id }) => agent_id.value === agentId)
}

export function sendTo(framework: FrameworkRecord | undefined, event: object): boolean {
  return framework?.stream?.send(event) ?? false
}

/** For /metrics/snapshot. */
export function count(master: MasterState, info: OfferOperation, what: string): void {
  const key = `${info.type.toLowerCase()}/${what}`
  master.counters.set(key, (master.counters.get(key) ?? 0) + 1)
}

export function publish(master: MasterState, event: object): void {
  for (const subscriber of master.subscribers) subscriber.send(event)
}
