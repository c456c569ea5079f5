/** What frameworks do with offers: make a disk, run a task. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AgentDouble } from '../../test/support/mesos/cluster.ts'
import type { Offer, OperationStatus, Resource, TaskState } from '../../test/support/mesos/types.ts'
import { until } from '../../test/support/until.ts'
import { type Audience, isRaw, offersOf, sizeOf } from './mesos-offers.ts'

let count = 0

export interface DiskWish {
  readonly agent: string
  readonly pool: string
  readonly sizeMiB: number
  readonly profile: string
}

/** Accepts an agent's offers with CREATE_DISK. An offer that was out of date is asked for again with the next one. */
export async function createDisk({ framework }: Audience, wish: DiskWish): Promise<OperationStatus> {
  for (;;) {
    const offers = await until(
      () => {
        const held = offersOf(framework, wish.agent)
        return held.some(({ resources }) => resources.some((each) => serves(each, wish))) && held
      },
      { what: `an offer of ${wish.agent}`, deadlineMs: 20_000, everyMs: 20 },
    )
    const raw = offers.flatMap(({ resources }) => resources).find((each) => serves(each, wish)) as Resource
    const id = `create-${count++}`
    const source = { ...raw, scalar: { value: wish.sizeMiB } }
    const create_disk = { source, target_type: 'MOUNT', target_profile: wish.profile } as const
    await framework.accept(offers, [{ type: 'CREATE_DISK', id: { value: id }, create_disk }])
    const status = await framework.operationStatus(id, 60_000)
    if (status.state !== 'OPERATION_DROPPED' && status.state !== 'OPERATION_ERROR') return status
  }
}

function serves(resource: Resource, { pool, sizeMiB }: DiskWish): boolean {
  return isRaw(resource, pool) && sizeOf(resource) >= sizeMiB
}

/** "Not here, not now": the next offer serves. */
const AGAIN: readonly TaskState[] = ['TASK_DROPPED', 'TASK_ERROR']

/** Starts a task with a volume on an agent that offers it. @returns the task's id, in one of the states */
export async function runTask(
  audience: Audience,
  agent: string,
  volumeId: string,
  command: string,
  states: readonly TaskState[],
): Promise<string> {
  for (;;) {
    const id = await launch(audience, agent, volumeId, command)
    const { state } = await audience.framework.taskStatus(id, [...states, ...AGAIN], 30_000)
    if (!AGAIN.includes(state)) return id
  }
}

async function launch({ framework }: Audience, agent: string, volumeId: string, command: string): Promise<string> {
  const found = await until(
    () => {
      const offers = offersOf(framework, agent)
      const disk = offers.flatMap(({ resources }) => resources).find((each) => each.disk?.source?.id === volumeId)
      const cpus = take(offers, 'cpus', 0.1)
      const mem = take(offers, 'mem', 64)
      return disk !== undefined && cpus !== undefined && mem !== undefined && { offers, disk, cpus, mem }
    },
    { what: `${agent} to offer ${volumeId}`, deadlineMs: 60_000, everyMs: 20 },
  )
  const { offers, disk, cpus, mem } = found
  const id = `task-${count++}`
  const resources = [cpus, mem, disk]
  const agent_id = offers[0]?.agent_id ?? { value: '' }
  const info = { name: id, task_id: { value: id }, agent_id, resources, command: { value: command } }
  await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [info] } }])
  return id
}

function take(offers: readonly Offer[], name: string, amount: number): Resource | undefined {
  const all = offers.flatMap(({ resources }) => resources)
  const found = all.find((each) => each.name === name && each.disk === undefined && sizeOf(each) >= amount)
  return found === undefined ? undefined : { ...found, scalar: { value: amount } }
}

/** What a task has printed. */
export function printedBy(agent: AgentDouble, taskId: string): string {
  const executors = [...agent.state.executors, ...agent.state.completedExecutors]
  const sandbox = executors.find(({ tasks }) => tasks.has(taskId))?.sandbox ?? ''
  return readFileSync(join(sandbox, 'stdout'), 'utf8').trimEnd()
}
