/** `POST /api/v1` of an agent. A list with nothing in it is left out, and so is a whole answer of containers. */
import type { AgentState } from './agent-state.ts'
import { canonicalAll } from './canonical.ts'
import type { Executor } from './executor.ts'
import { type Call, parseCall, type Reply, reply } from './http-host.ts'
import { unlessEmpty, VERSION } from './operator-views.ts'
import type { Value } from './types.ts'

export function agentApi(agent: AgentState, call: Call): Reply | undefined {
  if (agent.phase === 'recovering') return reply(503, 'Agent has not finished recovery')
  const parsed = parseCall(call)
  if ('refused' in parsed) return parsed.refused
  const { json } = parsed
  if (json.type === 'MARK_RESOURCE_PROVIDER_GONE') return markProviderGone(agent, json)
  if (json.type === 'ADD_RESOURCE_PROVIDER_CONFIG') return addProviderConfig(json)
  const make = typeof json.type === 'string' ? VIEWS[json.type] : undefined
  if (make === undefined) return reply(400, "Failed to validate agent::Call: Expecting 'type' to be present")
  const made = make(agent)
  const type = String(json.type)
  return reply(200, made === undefined ? { type } : { type, [type.toLowerCase()]: made })
}

function markProviderGone(agent: AgentState, json: Record<string, unknown>): Reply {
  const body = json.mark_resource_provider_gone as { resource_provider_id?: Value } | undefined
  const id = body?.resource_provider_id?.value ?? ''
  const fail = (why: string) => reply(500, `Could not mark resource provider '${id}' as gone: ${why}`)
  if ((agent.providers.get(id)?.total.length ?? 0) > 0) return fail('Resource provider has resources')
  if (!agent.manager.remove(id)) return fail('Resource provider is unknown')
  return reply(200)
}

/** Providers that run inside of the agent: only those of Mesos itself, for which there is nothing here. */
function addProviderConfig(json: Record<string, unknown>): Reply {
  const { info } = (json.add_resource_provider_config ?? {}) as { info?: { type?: string; name?: string } }
  const isStorage = info?.type === 'org.apache.mesos.rp.local.storage'
  const why = isStorage ? 'NODE_SERVICE not found' : `Unknown local resource provider type '${info?.type}'`
  const what = `resource provider config with type '${info?.type}' and name '${info?.name}'`
  return reply(400, `Failed to validate ${what}: ${why}`)
}

function getAgent(agent: AgentState): object {
  return {
    agent_info: {
      hostname: agent.hostname,
      port: agent.httpPort,
      resources: agent.resources,
      ...unlessEmpty('attributes', agent.attributes),
      ...(agent.disk.agentId === undefined ? {} : { id: { value: agent.disk.agentId } }),
      checkpoint: true,
    },
  }
}

function getTasks(agent: AgentState): object {
  const entries = [...agent.completedExecutors, ...agent.executors].flatMap(({ tasks }) => [...tasks.values()])
  const staged = (...stages: string[]) => entries.filter(({ stage }) => stages.includes(stage)).map(({ task }) => task)
  const pending = [...agent.pending].map(({ frameworkId, info }) => ({
    name: info.name,
    task_id: info.task_id,
    framework_id: { value: frameworkId },
    agent_id: info.agent_id,
    state: 'TASK_STAGING',
    resources: info.resources ?? [],
  }))
  return {
    ...unlessEmpty('pending_tasks', pending),
    ...unlessEmpty('queued_tasks', staged('queued')),
    ...unlessEmpty('launched_tasks', staged('launched')),
    ...unlessEmpty('terminated_tasks', staged('terminated')),
    ...unlessEmpty('completed_tasks', staged('completed')),
  }
}

function getExecutors(agent: AgentState): object {
  const shown = (executor: Executor) => ({ executor_info: executor.info })
  return {
    ...unlessEmpty('executors', [...agent.executors].map(shown)),
    ...unlessEmpty('completed_executors', agent.completedExecutors.map(shown)),
  }
}

function getFrameworks(agent: AgentState): object {
  const live = new Map(
    [...agent.executors].map(({ frameworkId, framework }) => [frameworkId, { framework_info: framework }]),
  )
  const past = new Map(
    agent.completedExecutors.map(({ frameworkId, framework }) => [frameworkId, { framework_info: framework }]),
  )
  const completed = [...past].filter(([id]) => !live.has(id)).map(([, shown]) => shown)
  return { ...unlessEmpty('frameworks', [...live.values()]), ...unlessEmpty('completed_frameworks', completed) }
}

function getContainers(agent: AgentState): object | undefined {
  const running = [...agent.executors].filter(({ hasContainer }) => hasContainer)
  if (running.length === 0) return undefined
  const containers = running.map((executor) => ({
    framework_id: { value: executor.frameworkId },
    executor_id: { value: executor.id },
    executor_name: executor.info.name ?? '',
    container_id: { value: executor.containerId },
    container_status: executor.containerStatus(),
  }))
  return { containers }
}

function getProviders(agent: AgentState): object {
  const providers = [...agent.providers.values()].map(({ info, total }) => ({
    resource_provider_info: info,
    ...unlessEmpty('total_resources', canonicalAll(total)),
  }))
  return unlessEmpty('resource_providers', providers)
}

function getOperations(agent: AgentState): object {
  const operations = [...agent.operations.values()].map(({ statuses, ...operation }) => ({
    ...operation,
    ...unlessEmpty('statuses', statuses),
  }))
  return unlessEmpty('operations', operations)
}

function getFlags(agent: AgentState): object {
  const flags = {
    agent_features:
      '{"capabilities":[{"type":"MULTI_ROLE"},{"type":"HIERARCHICAL_ROLE"},{"type":"RESERVATION_REFINEMENT"},{"type":"RESOURCE_PROVIDER"}]}',
    authenticate_http_readonly: 'false',
    authenticate_http_readwrite: 'false',
    hostname: agent.hostname,
    ip: '127.0.0.1',
    isolation: 'cgroups/cpu,filesystem/linux',
    launcher: 'linux',
    port: String(agent.httpPort),
    work_dir: agent.workDir,
  }
  return { flags: Object.entries(flags).map(([name, value]) => ({ name, value })) }
}

const VIEWS: Readonly<Record<string, (agent: AgentState) => object | undefined>> = {
  GET_HEALTH: () => ({ healthy: true }),
  GET_VERSION: () => ({ version_info: { version: VERSION, build_date: '2024-08-20 00:00:00', build_user: 'root' } }),
  GET_FLAGS: getFlags,
  GET_AGENT: getAgent,
  GET_TASKS: getTasks,
  GET_EXECUTORS: getExecutors,
  GET_FRAMEWORKS: getFrameworks,
  GET_STATE: (agent) => ({
    get_tasks: getTasks(agent),
    get_executors: getExecutors(agent),
    get_frameworks: getFrameworks(agent),
  }),
  GET_CONTAINERS: getContainers,
  GET_RESOURCE_PROVIDERS: getProviders,
  GET_OPERATIONS: getOperations,
}
