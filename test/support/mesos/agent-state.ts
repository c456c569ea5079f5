/** What an agent knows: on its disk, on its machine, and in the memory of one run. */
import type { Hazards } from './aborts.ts'
import type { Isolator } from './container-info.ts'
import { providerOfOperation } from './conversions.ts'
import type { Executor } from './executor.ts'
import type { ProviderManager } from './provider-manager.ts'
import type { Attribute, ProviderInfoWithId, Resource, TaskInfo, TrackedOperation } from './types.ts'
import type { AgentPort, ToMaster, Wire } from './wire.ts'

export interface Timing {
  /** From a restart to the first answer, ms. */
  readonly recoveryMs: number
  /** From a published volume to a container, ms. */
  readonly launchMs: number
  /** From a container to its executor's first word, ms. */
  readonly registerMs: number
  /** From the last task's end to the end of its container, ms. Real agents take one to two seconds. */
  readonly lingerMs: number
  /** Until a task's status that nobody has acknowledged is said again, ms. Real agents begin with ten seconds. */
  readonly statusRetryMs: number
}

/** Kept in the agent's work folder; gone when that is wiped. */
export interface AgentDisk {
  agentId: string | undefined
  /** Reservations and volumes on the agent's own resources. What providers have told is not written down. */
  own: readonly Resource[]
  readonly providers: Map<string, ProviderInfoWithId>
}

export interface AgentProvider {
  info: ProviderInfoWithId
  total: readonly Resource[]
  /** Undefined until its first UPDATE_STATE. */
  version: string | undefined
  readonly operations: Map<string, TrackedOperation>
}

export interface PendingTask {
  readonly frameworkId: string
  readonly info: TaskInfo
}

export interface AgentState {
  readonly hostname: string
  readonly workDir: string
  readonly httpPort: number
  readonly resources: readonly Resource[]
  readonly attributes: readonly Attribute[]
  readonly disk: AgentDisk
  readonly timing: Timing
  readonly isolator: Isolator | undefined
  readonly hazards: Hazards
  readonly wire: Wire
  readonly port: AgentPort
  /** Executors are processes of their own and outlive the agent's. */
  readonly executors: Set<Executor>
  readonly completedExecutors: Executor[]
  readonly pending: Set<PendingTask>
  phase: 'recovering' | 'disconnected' | 'running'
  total: readonly Resource[]
  readonly version: string
  readonly providers: Map<string, AgentProvider>
  readonly operations: Map<string, TrackedOperation>
  readonly manager: ProviderManager
  readonly turn: (step: () => void) => void
  /** Later, unless the process has died by then. */
  readonly after: (milliseconds: number, step: () => void) => void
  readonly exit: (why: string) => void
}

/** While there is no master, nothing is said to it; what must arrive is said again after the next registration. */
export function tellMaster(agent: AgentState, message: ToMaster): void {
  if (agent.phase === 'running') agent.wire.toMaster(agent.port, message)
}

/** The whole picture of providers and operations. */
export function reportToMaster(agent: AgentState): void {
  const own = [...agent.operations.values()].filter(({ info }) => providerOfOperation(info) === undefined)
  const providers = [...agent.providers.values()].flatMap(({ info, total, version, operations }) =>
    version === undefined ? [] : [{ info, total, version, operations: [...operations.values()].map(copyOperation) }],
  )
  tellMaster(agent, { kind: 'update', version: agent.version, operations: own.map(copyOperation), providers })
}

/** A message is a copy: what happens to the operation afterwards does not change it. */
function copyOperation(operation: TrackedOperation): TrackedOperation {
  return { ...operation, statuses: [...operation.statuses] }
}
