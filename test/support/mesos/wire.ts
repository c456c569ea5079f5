/** What masters and agents send each other (Mesos src/messages/messages.proto), and how it gets there. */
import type { Links } from './links.ts'
import type {
  Attribute,
  ExecutorInfo,
  FrameworkInfo,
  OfferOperation,
  OperationStatus,
  ReportedProvider,
  Resource,
  Task,
  TaskInfo,
  TaskState,
  TaskStatus,
  TrackedOperation,
} from './types.ts'

/** Resource versions by provider; '' is the agent's own. */
export type Versions = ReadonlyMap<string, string>

export type ToAgent =
  | { readonly kind: 'registered'; readonly agentId: string }
  | { readonly kind: 'shutdown'; readonly why: string }
  | {
      readonly kind: 'run'
      readonly framework: FrameworkInfo
      readonly tasks: readonly TaskInfo[]
      /** Of a task group. */
      readonly executor?: ExecutorInfo
      readonly versions: Versions
    }
  | { readonly kind: 'kill'; readonly frameworkId: string; readonly taskId: string }
  | { readonly kind: 'acknowledge'; readonly frameworkId: string; readonly taskId: string; readonly uuid: string }
  | { readonly kind: 'shutdown framework'; readonly frameworkId: string }
  | {
      readonly kind: 'apply'
      readonly frameworkId: string | undefined
      readonly info: OfferOperation
      readonly uuid: string
      readonly version: string
    }
  | { readonly kind: 'acknowledge operation'; readonly operationUuid: string; readonly statusUuid: string }
  | { readonly kind: 'reconcile'; readonly operations: readonly { uuid: string; providerId: string | undefined }[] }
  | {
      readonly kind: 'reconcile for framework'
      readonly frameworkId: string
      readonly operationId: string
      readonly providerId: string | undefined
    }

export interface AgentIdentity {
  readonly hostname: string
  readonly port: number
  readonly resources: readonly Resource[]
  readonly attributes: readonly Attribute[]
}

export interface OperationUpdate {
  readonly frameworkId: string | undefined
  /** Undefined only in answers to a framework's own reconciliation. */
  readonly operationUuid: string | undefined
  readonly status: OperationStatus
  readonly latestStatus: OperationStatus | undefined
}

export type ToMaster =
  | {
      readonly kind: 'register'
      readonly identity: AgentIdentity
      /** Undefined: a new agent. */
      readonly agentId: string | undefined
      readonly version: string
      /** The agent's own resources with reservations and volumes. */
      readonly total: readonly Resource[]
      readonly tasks: readonly Task[]
      readonly frameworks: readonly FrameworkInfo[]
    }
  | {
      readonly kind: 'update'
      readonly version: string
      readonly operations: readonly TrackedOperation[]
      readonly providers: readonly ReportedProvider[]
    }
  | { readonly kind: 'status'; readonly frameworkId: string; readonly status: TaskStatus; readonly latest: TaskState }
  | { readonly kind: 'operation status'; readonly update: OperationUpdate }

/** An agent as its master sees it: something to send to. */
export interface AgentPort {
  readonly hostname: string
  readonly agentId: string | undefined
  receive(message: ToAgent): void
}

export interface MasterPort {
  receive(from: AgentPort, message: ToMaster): void
  exited(from: AgentPort): void
}

export class Wire {
  readonly links: Links
  master: MasterPort | undefined

  constructor(links: Links) {
    this.links = links
  }

  toAgent(agent: AgentPort, message: ToAgent): void {
    this.links.send('master->agent', agent.agentId ?? agent.hostname, () => agent.receive(message))
  }

  toMaster(agent: AgentPort, message: ToMaster): void {
    this.links.send('agent->master', agent.agentId ?? agent.hostname, () => this.master?.receive(agent, message))
  }

  /** The connection broke. */
  agentGone(agent: AgentPort): void {
    this.links.send('agent->master', agent.agentId ?? agent.hostname, () => this.master?.exited(agent))
  }
}
