import { isObject } from '../../mesos/json.ts'
import type { MasterAgent, MasterEvent, MasterFramework } from '../../mesos/master-protocol.ts'

/**
 * Something that a master says of an agent. It is worth a line for people and nothing else: it proves nothing about who
 * writes to a volume, and frees none.
 */
export interface Hint {
  /** ms since 1970. */
  readonly at: number
  readonly agentId: string
  readonly hostname?: string
  readonly sentence: string
}

const MAX_HINTS = 50
const ENDED = new Set([
  ...['TASK_FINISHED', 'TASK_FAILED', 'TASK_KILLED', 'TASK_ERROR', 'TASK_LOST', 'TASK_DROPPED'],
  ...['TASK_GONE', 'TASK_GONE_BY_OPERATOR'],
])

interface RunningTask {
  readonly agentId: string
  readonly state: string
}

/** What a Mesos cluster is made of, as the events of its leading master tell it. Nothing is decided by it. */
export class Cluster {
  readonly agents = new Map<string, MasterAgent>()
  readonly frameworks = new Map<string, MasterFramework>()
  /** Tasks that have not ended, by framework and task. */
  readonly tasks = new Map<string, RunningTask>()
  /** The latest ones, oldest first. */
  readonly hints: Hint[] = []

  /** @returns what was told of an agent, if it was something to remember */
  apply(event: MasterEvent, now: number): Hint | undefined {
    const { agent_added: agent, agent_removed: removed, task_added: task, task_updated: updated } = event
    if (event.subscribed !== undefined) this.#begin(event.subscribed.get_state ?? {})
    if (agent !== undefined) this.#addAgent(agent.agent)
    if (task !== undefined) this.#task(task.task, task.task)
    if (updated !== undefined) {
      const hint = this.#taskUpdated(updated, now)
      if (hint !== undefined) return hint
    }
    const framework = event.framework_added ?? event.framework_updated
    if (framework !== undefined) this.#addFramework(framework.framework)
    const gone = event.framework_removed?.framework_info.id
    if (gone !== undefined) this.frameworks.delete(gone.value)
    return removed === undefined ? undefined : this.#removeAgent(removed.agent_id.value, now)
  }

  /** What a master answers when it is asked for its agents: events do not tell of every change. */
  setAgents(agents: readonly MasterAgent[]): void {
    this.agents.clear()
    for (const agent of agents) this.#addAgent(agent)
  }

  tasksOn(agentId: string): number {
    let count = 0
    for (const task of this.tasks.values()) if (task.agentId === agentId) count += 1
    return count
  }

  /** The first event of each connection has all of it. */
  #begin(state: Readonly<Record<string, unknown>>): void {
    this.agents.clear()
    this.frameworks.clear()
    this.tasks.clear()
    for (const agent of listIn(state, 'get_agents', 'agents')) this.#addAgent(agent as unknown as MasterAgent)
    for (const each of listIn(state, 'get_frameworks', 'frameworks')) {
      this.#addFramework(each as unknown as MasterFramework)
    }
    for (const task of listIn(state, 'get_tasks', 'tasks')) this.#task(task, task)
  }

  #addAgent(agent: MasterAgent): void {
    const id = agent.agent_info.id?.value
    if (id !== undefined) this.agents.set(id, agent)
  }

  #addFramework(framework: MasterFramework): void {
    const id = framework.framework_info.id?.value
    if (id !== undefined) this.frameworks.set(id, framework)
  }

  /** @param named what has the ids, where they are not beside the state */
  #task(task: Message, named: Message): RunningTask | undefined {
    const key = `${valueIn(task, 'framework_id')} ${valueIn(named, 'task_id')}`
    const before = this.tasks.get(key)
    const state = typeof task.state === 'string' ? task.state : (before?.state ?? '')
    const agentId = valueIn(named, 'agent_id') ?? before?.agentId
    if (agentId === undefined || ENDED.has(state)) this.tasks.delete(key)
    else this.tasks.set(key, { agentId, state })
    return before
  }

  #taskUpdated(updated: Message, now: number): Hint | undefined {
    const status = isObject(updated.status) ? updated.status : {}
    const before = this.#task(updated, status)
    const agentId = valueIn(status, 'agent_id') ?? before?.agentId
    if (agentId === undefined) return undefined
    if (updated.state === 'TASK_UNREACHABLE') return this.#hint(agentId, 'the master does not reach it', now)
    return updated.state === 'TASK_GONE_BY_OPERATOR'
      ? this.#hint(agentId, 'an operator has told the master that it is gone', now)
      : undefined
  }

  #removeAgent(agentId: string, now: number): Hint {
    const hint = this.#hint(agentId, 'the master has removed it', now)
    this.agents.delete(agentId)
    return hint
  }

  #hint(agentId: string, sentence: string, now: number): Hint {
    const hostname = this.agents.get(agentId)?.agent_info.hostname
    const hint = { at: now, agentId, ...(hostname === undefined ? {} : { hostname }), sentence }
    const last = this.hints.findLast((each) => each.agentId === agentId)
    // many tasks of one agent tell the same
    if (last?.sentence === sentence) this.hints.splice(this.hints.indexOf(last), 1)
    this.hints.push(hint)
    if (this.hints.length > MAX_HINTS) this.hints.shift()
    return hint
  }
}

type Message = Readonly<Record<string, unknown>>

function listIn(state: Message, call: string, name: string): readonly Message[] {
  const answer = state[call]
  const list = isObject(answer) ? answer[name] : undefined
  return Array.isArray(list) ? list.filter(isObject) : []
}

function valueIn(message: Message, name: string): string | undefined {
  const id = message[name]
  return isObject(id) && typeof id.value === 'string' ? id.value : undefined
}
