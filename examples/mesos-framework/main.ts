import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Database, type DatabaseState, type DatabaseWish, type Step } from './database.ts'
import type { Offer, Resource } from './offers.ts'
import { type SchedulerEvent, type Subscription, subscribe } from './scheduler-api.ts'

const { values } = parseArgs({
  options: {
    master: { type: 'string', default: 'http://127.0.0.1:5050' },
    role: { type: 'string', default: 'ads' },
    size: { type: 'string', default: '1024' },
    iops: { type: 'string', default: '0' },
    profile: { type: 'string', default: 'default' },
    command: { type: 'string', default: 'date >> data/journal; sleep 3600' },
    principal: { type: 'string' },
    secret: { type: 'string' },
    state: { type: 'string', default: 'database.json' },
  },
})

const wish: DatabaseWish = {
  role: values.role,
  principal: values.principal,
  sizeMiB: Number(values.size),
  iops: Number(values.iops),
  profile: values.profile,
  command: values.command,
  cpus: 0.1,
  memMiB: 64,
}
const state = load(values.state)
const save = () => store(values.state, state)
const database = new Database(wish, state, save, () => performance.now())
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort()).once('SIGINT', () => stop.abort())

while (!stop.signal.aborted) {
  try {
    await serve()
  } catch (error) {
    if (!stop.signal.aborted) say('disconnected', { why: error instanceof Error ? error.message : String(error) })
  }
  database.disconnected()
  await wait(1000, undefined, { signal: stop.signal }).catch(() => undefined)
}

/** One subscription, from its beginning to its end. */
async function serve(): Promise<void> {
  const { master, principal, secret, role } = values
  const credentials = principal === undefined || secret === undefined ? {} : { credentials: { principal, secret } }
  const info = {
    user: 'root',
    name: 'database',
    roles: [role],
    // a week in which another instance may take over; without it the master ends our task with our connection
    failover_timeout: 604_800,
    checkpoint: true,
    ...(principal === undefined ? {} : { principal }),
    capabilities: [{ type: 'MULTI_ROLE' }, { type: 'RESERVATION_REFINEMENT' }, { type: 'PARTITION_AWARE' }],
  }
  const subscription = await subscribe({ master, ...credentials }, info, state.frameworkId, stop.signal)
  for await (const event of subscription.events) await handle(event, subscription)
}

async function handle(event: SchedulerEvent, subscription: Subscription): Promise<void> {
  const member = (event[event.type.toLowerCase()] ?? {}) as Record<string, unknown>
  switch (event.type) {
    case 'SUBSCRIBED': {
      state.frameworkId = (member.framework_id as { value: string }).value
      save()
      say('subscribed', { framework: state.frameworkId })
      return reconcile(subscription)
    }
    case 'OFFERS':
      return act(database.offered((member.offers ?? []) as Offer[]), subscription)
    case 'RESCIND':
      return database.rescinded((member.offer_id as { value: string }).value)
    case 'UPDATE':
      return taskUpdate(member.status as TaskStatus, subscription)
    case 'UPDATE_OPERATION_STATUS':
      return operationUpdate(member.status as OperationStatus, subscription)
    case 'ERROR':
      return refused(String(member.message))
    default:
      return undefined
  }
}

interface TaskStatus {
  task_id: { value: string }
  state: string
  message?: string
  uuid?: string
  agent_id?: { value: string }
}

interface OperationStatus {
  operation_id?: { value: string }
  state: string
  message?: string
  uuid?: { value: string }
  agent_id?: { value: string }
  resource_provider_id?: { value: string }
  converted_resources?: Resource[]
}

async function taskUpdate(status: TaskStatus, subscription: Subscription): Promise<void> {
  const { agent_id, task_id, uuid } = status
  say('task', { id: task_id.value, state: status.state, message: status.message })
  const mustGo = database.task(status)
  if (uuid !== undefined) await call(subscription, { type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } })
  // it was cut off, its volume was taken from it and another has it: it is of no use any more
  if (mustGo) await call(subscription, { type: 'KILL', kill: { agent_id, task_id } })
  await call(subscription, { type: 'REVIVE' })
}

/** The master ends the subscription. A framework that it has removed begins anew; its volume is still there. */
function refused(message: string): never {
  if (message.includes('has been removed') || message.includes('completed')) {
    delete state.frameworkId
    delete state.task
    save()
  }
  throw new Error(message)
}

async function operationUpdate(status: OperationStatus, subscription: Subscription): Promise<void> {
  say('operation', { id: status.operation_id?.value, state: status.state, message: status.message })
  database.operation(status)
  if (status.uuid !== undefined) {
    const { agent_id, resource_provider_id, operation_id } = status
    const acknowledge = { agent_id, resource_provider_id, operation_id, uuid: status.uuid.value }
    await call(subscription, { type: 'ACKNOWLEDGE_OPERATION_STATUS', acknowledge_operation_status: acknowledge })
  }
  // what was refused is asked for again when its offer comes back by itself
  if (status.state !== 'OPERATION_FAILED') await call(subscription, { type: 'REVIVE' })
}

/** After a fail-over: what became of the task and of the operation that an earlier instance began? */
async function reconcile(subscription: Subscription): Promise<void> {
  if (state.task !== undefined) {
    const tasks = [{ task_id: { value: state.task.id }, agent_id: { value: state.task.agentId } }]
    await call(subscription, { type: 'RECONCILE', reconcile: { tasks } })
  }
  if (state.operation !== undefined) {
    const { id, agentId, providerId } = state.operation
    // with both ids, or the master says "unknown" of an operation whose agent is only unreachable
    const operations = [
      { operation_id: { value: id }, agent_id: { value: agentId }, resource_provider_id: { value: providerId } },
    ]
    await call(subscription, { type: 'RECONCILE_OPERATIONS', reconcile_operations: { operations } })
  }
}

async function act(steps: readonly Step[], subscription: Subscription): Promise<void> {
  for (const { call: body, why } of steps) {
    if (body.type !== 'DECLINE') say('step', { why })
    await call(subscription, body)
  }
}

function call(subscription: Subscription, body: Record<string, unknown>): Promise<void> {
  return subscription.call({ framework_id: { value: state.frameworkId }, ...body })
}

function load(path: string): DatabaseState {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as DatabaseState
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}

/** Durable before the master hears of it: a volume that was forgotten would be made twice. */
function store(path: string, value: DatabaseState): void {
  const file = openSync(`${path}.new`, 'w', 0o600)
  writeSync(file, JSON.stringify(value))
  fsyncSync(file)
  closeSync(file)
  renameSync(`${path}.new`, path)
}

function say(event: string, data: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify({ event, ...data })}\n`)
}
