import type { OperationState } from '../../../src/mesos/resource.ts'
import { type AcceptCall, accept } from './accept.ts'
import { removeFramework } from './master-frameworks.ts'
import { acknowledgedByFramework } from './master-operations.ts'
import { type FrameworkRecord, type MasterState, operationsOf, sendTo, tasksOf } from './master-state.ts'
import { sayOfTask, taskAcknowledged } from './master-tasks.ts'
import type { Value } from './types.ts'

type Members = Readonly<Record<string, unknown>>

interface Named {
  readonly offer_ids?: readonly Value[]
  readonly filters?: { readonly refuse_seconds?: number }
  readonly roles?: readonly string[]
  readonly agent_id?: Value
  readonly task_id?: Value
  readonly uuid?: string
  readonly operation_id?: Value
  readonly tasks?: readonly { readonly task_id: Value; readonly agent_id?: Value }[]
  readonly operations?: readonly OperationAsked[]
}

interface OperationAsked {
  readonly operation_id: Value
  readonly agent_id?: Value
  readonly resource_provider_id?: Value
}

/** @returns what is wrong with the call, for a 400 */
export function schedulerCall(master: MasterState, framework: FrameworkRecord, json: Members): string | undefined {
  const type = String(json.type)
  const body = (json[type.toLowerCase()] ?? {}) as Named
  const roles = body.roles ?? []
  switch (type) {
    case 'TEARDOWN':
      removeFramework(master, framework)
      return undefined
    case 'ACCEPT':
      accept(master, framework, (json.accept ?? {}) as AcceptCall)
      return undefined
    case 'DECLINE':
      decline(master, framework, body)
      return undefined
    case 'REVIVE':
      master.allocator.revive(framework.id, roles)
      return undefined
    case 'SUPPRESS':
      master.allocator.suppress(framework.id, roles)
      return undefined
    case 'KILL':
      kill(master, framework, body)
      return undefined
    case 'ACKNOWLEDGE':
      acknowledgeTask(master, framework, body)
      return undefined
    case 'RECONCILE':
      reconcileTasks(master, framework, body)
      return undefined
    case 'ACKNOWLEDGE_OPERATION_STATUS':
      acknowledgeOperation(master, framework, body)
      return undefined
    case 'RECONCILE_OPERATIONS':
      reconcileOperations(master, framework, body.operations ?? [])
      return undefined
    case 'SHUTDOWN':
    case 'MESSAGE':
    case 'REQUEST':
      return undefined
    default:
      return "Failed to validate scheduler::Call: Expecting 'type' to be present"
  }
}

function decline(master: MasterState, framework: FrameworkRecord, { offer_ids, filters }: Named): void {
  for (const { value } of offer_ids ?? []) {
    const offer = master.offers.get(value)
    if (offer === undefined || offer.framework_id.value !== framework.id) continue
    master.offers.delete(value)
    const { agent_id, resources, allocation_info } = offer
    master.allocator.recover(framework.id, agent_id.value, resources)
    master.allocator.filters.add(framework.id, allocation_info.role, agent_id.value, resources, filters?.refuse_seconds)
  }
}

function kill(master: MasterState, framework: FrameworkRecord, { task_id }: Named): void {
  const taskId = task_id?.value ?? ''
  for (const agent of master.agents.values()) {
    if (tasksOf(agent, framework.id).some((task) => task.task_id.value === taskId)) {
      master.wire.toAgent(agent.port, { kind: 'kill', frameworkId: framework.id, taskId })
      return
    }
  }
  sayOfTask(framework, taskId, undefined, 'TASK_LOST', 'REASON_RECONCILIATION', 'Reconciliation: Task is unknown')
}

function acknowledgeTask(master: MasterState, framework: FrameworkRecord, { agent_id, task_id, uuid }: Named): void {
  const agent = master.agents.get(agent_id?.value ?? '')
  if (agent === undefined || !agent.connected || task_id === undefined || uuid === undefined) return
  taskAcknowledged(master, agent, framework.id, task_id.value, uuid)
}

function reconcileTasks(master: MasterState, framework: FrameworkRecord, { tasks }: Named): void {
  const known = [...master.agents.values()].flatMap((agent) => tasksOf(agent, framework.id))
  const wanted = (tasks ?? []).map(({ task_id }) => task_id.value)
  const why = 'Reconciliation: Latest task state'
  for (const task of known) {
    if (wanted.length > 0 && !wanted.includes(task.task_id.value)) continue
    sayOfTask(framework, task.task_id.value, task.agent_id.value, task.state, 'REASON_RECONCILIATION', why)
  }
  for (const id of wanted) {
    if (known.some(({ task_id }) => task_id.value === id)) continue
    sayOfTask(framework, id, undefined, 'TASK_UNKNOWN', 'REASON_RECONCILIATION', 'Reconciliation: Task is unknown')
  }
}

function acknowledgeOperation(master: MasterState, framework: FrameworkRecord, body: Named): void {
  const { agent_id, operation_id, uuid } = body
  if (agent_id === undefined || operation_id === undefined || typeof uuid !== 'string') return
  acknowledgedByFramework(master, framework, agent_id.value, operation_id.value, uuid)
}

function reconcileOperations(master: MasterState, framework: FrameworkRecord, asked: readonly OperationAsked[]): void {
  const mine = [...master.agents.values()]
    .flatMap(operationsOf)
    .filter(({ framework_id }) => framework_id?.value === framework.id)
  if (asked.length === 0) {
    for (const { info, latest_status } of mine)
      if (info.id !== undefined) sayOfOperation(framework, { ...latest_status, operation_id: info.id })
    return
  }
  for (const one of asked) {
    const found = mine.find(({ info }) => info.id?.value === one.operation_id.value)
    if (found !== undefined) sayOfOperation(framework, { ...found.latest_status, operation_id: one.operation_id })
    else reconcileUnknown(master, framework, one)
  }
}

/** An explicit reconciliation is answered without a uuid: nobody acknowledges it. */
function sayOfOperation(framework: FrameworkRecord, status: object): void {
  const { uuid: _uuid, ...rest } = status as { uuid?: Value }
  sendTo(framework, { type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status: rest } })
}

function reconcileUnknown(master: MasterState, framework: FrameworkRecord, asked: OperationAsked): void {
  const agentId = asked.agent_id?.value
  const agent = master.agents.get(agentId ?? '')
  const say = (state: OperationState, message: string) => sayOfOperation(framework, { ...asked, state, message })
  if (agentId === undefined) {
    say('OPERATION_UNKNOWN', 'Reconciliation: Operation is unknown and no agent was given')
  } else if (master.registry.gone.has(agentId)) {
    say('OPERATION_GONE_BY_OPERATOR', 'Reconciliation: Agent is marked gone')
  } else if (agent === undefined) {
    const recovering = master.registry.admitted.has(agentId)
    say(recovering ? 'OPERATION_RECOVERING' : 'OPERATION_UNKNOWN', 'Reconciliation: Agent is not registered')
  } else if (!agent.connected) {
    say('OPERATION_RECOVERING', 'Reconciliation: Agent is not connected')
  } else {
    master.wire.toAgent(agent.port, {
      kind: 'reconcile for framework',
      frameworkId: framework.id,
      operationId: asked.operation_id.value,
      providerId: asked.resource_provider_id?.value,
    })
  }
}
