import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import type { AgentContainer, AgentExecutor, AgentQueries, AgentTask } from './agent-protocol.ts'
import type { MesosHttp } from './http.ts'
import { isObject, readJson } from './json.ts'
import type { AgentInfo, ProviderOfAgent } from './master-protocol.ts'

/** What an agent says. Only `answered` says anything about tasks and volumes: without it all is as it was. */
export type AgentAnswer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** It has started and does not know yet what runs on it. */
  | { readonly kind: 'recovering' }
  /** Refused, reset or too late. */
  | { readonly kind: 'unreachable'; readonly why: string }
  /** It, or something in its place, says something else: not allowed, not found, not Mesos. */
  | { readonly kind: 'refused'; readonly why: string; readonly status?: number }

const UNAUTHENTICATED =
  'principal and secret are missing or wrong (401); they should be a pair of its --http_credentials'

/** Every list is there, also when it is empty. */
export interface AgentState {
  readonly pendingTasks: readonly AgentTask[]
  readonly queuedTasks: readonly AgentTask[]
  readonly launchedTasks: readonly AgentTask[]
  readonly terminatedTasks: readonly AgentTask[]
  readonly completedTasks: readonly AgentTask[]
  readonly executors: readonly AgentExecutor[]
  readonly completedExecutors: readonly AgentExecutor[]
}

/** The operator API of one agent. Nothing here throws for what an agent may say. */
export class AgentClient {
  readonly #http: MesosHttp
  readonly #url: string

  /**
   * @param http carries credentials; the caller closes it
   * @param base `http://10.0.0.1:5051`
   */
  constructor(http: MesosHttp, base: string) {
    this.#http = http
    this.#url = `${base}/api/v1`
  }

  async state(): Promise<AgentAnswer<AgentState>> {
    return map(await this.query('GET_STATE'), ({ get_tasks: tasks = {}, get_executors: executors = {} }) => ({
      pendingTasks: tasks.pending_tasks ?? [],
      queuedTasks: tasks.queued_tasks ?? [],
      launchedTasks: tasks.launched_tasks ?? [],
      terminatedTasks: tasks.terminated_tasks ?? [],
      completedTasks: tasks.completed_tasks ?? [],
      executors: executors.executors ?? [],
      completedExecutors: executors.completed_executors ?? [],
    }))
  }

  /** Containers of the Mesos containerizer, nested ones as well. */
  async containers(): Promise<AgentAnswer<readonly AgentContainer[]>> {
    const nested = { get_containers: { show_nested: true, show_standalone: true } }
    return map(await this.query('GET_CONTAINERS', nested), ({ containers = [] }) => containers)
  }

  async flags(): Promise<AgentAnswer<ReadonlyMap<string, string>>> {
    const toMap = ({ flags = [] }: AgentQueries['GET_FLAGS']) =>
      new Map(flags.map(({ name, value = '' }) => [name, value]))
    return map(await this.query('GET_FLAGS'), toMap)
  }

  async resourceProviders(): Promise<AgentAnswer<readonly ProviderOfAgent[]>> {
    return map(await this.query('GET_RESOURCE_PROVIDERS'), ({ resource_providers: providers = [] }) => providers)
  }

  /** Undefined: it has not registered with a master yet, so it has no id. */
  async agentInfo(): Promise<AgentAnswer<AgentInfo | undefined>> {
    return map(await this.query('GET_AGENT'), ({ agent_info: info }) => info)
  }

  async query<K extends keyof AgentQueries>(type: K, parameters: object = {}): Promise<AgentAnswer<AgentQueries[K]>> {
    try {
      const { status, text } = await this.#http.post(this.#url, { type, ...parameters })
      if (status === 200) return { kind: 'answered', value: this.#content(type, text) }
      if (status === 503) return { kind: 'recovering' }
      if (status === 401) return { kind: 'refused', status, why: `${this.#url}: ${UNAUTHENTICATED}` }
      return { kind: 'refused', status, why: `${this.#url} answers ${type} with ${status}: ${quote(text)}` }
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError)) throw thrown
      return { kind: thrown.code === 'mesos_unreachable' ? 'unreachable' : 'refused', why: thrown.message }
    }
  }

  #content<K extends keyof AgentQueries>(type: K, text: string): AgentQueries[K] {
    const content = readJson(this.#url, type, text)[type.toLowerCase()] ?? {}
    if (isObject(content) && hasLists(content)) return content as AgentQueries[K]
    throw new HoldfastError('mesos_protocol', `${this.#url} answers ${type} with ${quote(text)}`)
  }
}

/**
 * The address of an agent's API from its `pid`, such as `slave(1)@10.0.0.1:5051`.
 * @throws mesos_protocol
 */
export function agentUrl(pid: string, scheme: 'http' | 'https'): string {
  const address = /^[^@\s]+@((?:[0-9.]+|\[[0-9a-fA-F:.]+\]):\d{1,5})$/.exec(pid)?.[1]
  if (address !== undefined) return `${scheme}://${address}`
  throw new HoldfastError('mesos_protocol', `${quote(pid)} is no agent's pid; one looks like slave(1)@10.0.0.1:5051`)
}

/** Lists that are something else would be taken for empty ones. */
function hasLists(content: Readonly<Record<string, unknown>>): boolean {
  const lists = ['containers', 'flags', 'resource_providers', 'executors', 'completed_executors']
  return Object.entries(content).every(([name, value]) => {
    if (name.startsWith('get_')) return isObject(value) && hasLists(value)
    return Array.isArray(value) || !(name.endsWith('_tasks') || lists.includes(name))
  })
}

function map<T, U>(answer: AgentAnswer<T>, read: (value: T) => U): AgentAnswer<U> {
  return answer.kind === 'answered' ? { kind: 'answered', value: read(answer.value) } : answer
}
