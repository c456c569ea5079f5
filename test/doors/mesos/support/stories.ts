/** What a framework does in the stories: make a disk, run a task on it. */
import type { AgentDouble } from '../../../support/mesos/cluster.ts'
import type { TestFramework } from '../../../support/mesos/framework.ts'
import type { Offer, OfferOperation, OperationStatus, Resource, TaskStatus } from '../../../support/mesos/types.ts'
import { isRaw, isVolume, pick } from './provider-world.ts'

const ENDS = ['TASK_FINISHED', 'TASK_FAILED', 'TASK_ERROR', 'TASK_DROPPED', 'TASK_LOST', 'TASK_KILLED'] as const

export async function rawOffer(framework: TestFramework, agent: AgentDouble, leastMiB = 1): Promise<Offer> {
  return framework.waitOffer(
    ({ agent_id, resources }) =>
      agent_id.value === agent.id && resources.some((each) => isRaw(each) && (each.scalar?.value ?? 0) >= leastMiB),
    20_000,
  )
}

export function createDisk(id: string, raw: Resource, sizeMiB: number, profile = 'default'): OfferOperation {
  const source = { ...raw, scalar: { value: sizeMiB } }
  return {
    type: 'CREATE_DISK',
    id: { value: id },
    create_disk: { source, target_type: 'MOUNT', target_profile: profile },
  }
}

/** Makes a disk at an agent and waits for how that ends. */
export async function makeDisk(
  framework: TestFramework,
  agent: AgentDouble,
  id: string,
  sizeMiB = 64,
): Promise<OperationStatus> {
  const offer = await rawOffer(framework, agent, sizeMiB)
  await framework.accept([offer], [createDisk(id, pick([offer], isRaw), sizeMiB)])
  return framework.operationStatus(id, 20_000)
}

export function volumeIdOf(status: OperationStatus): string {
  const id = status.converted_resources?.[0]?.disk?.source?.id
  if (id === undefined) throw new Error(`no disk came of it: ${JSON.stringify(status)}`)
  return id
}

export async function volumeOffers(framework: TestFramework, agent: AgentDouble, volumeId: string): Promise<Offer[]> {
  return framework.waitTogether(
    agent.id,
    (resources) => resources.some(isVolume(volumeId)) && resources.some(({ name }) => name === 'cpus'),
    20_000,
  )
}

export interface Task {
  readonly id: string
  readonly command: string
}

export function launch(
  offers: readonly Offer[],
  { id, command }: Task,
  resources: readonly Resource[],
): OfferOperation {
  const scalar = (name: string, value: number) => ({ name, type: 'SCALAR', scalar: { value } }) as const
  const task = {
    name: id,
    task_id: { value: id },
    agent_id: offers[0]?.agent_id ?? { value: '' },
    resources: [scalar('cpus', 0.1), scalar('mem', 32), ...resources],
    command: { value: command },
  }
  return { type: 'LAUNCH', launch: { task_infos: [task] } }
}

/** Starts a task with a volume at an agent, once it is offered there. */
export async function start(framework: TestFramework, agent: AgentDouble, volumeId: string, task: Task): Promise<void> {
  const offers = await volumeOffers(framework, agent, volumeId)
  await framework.accept(offers, [launch(offers, task, [pick(offers, isVolume(volumeId))])])
}

/** Runs a task to its end. As a framework should, it tries again when the offer was overtaken by events. */
export async function run(
  framework: TestFramework,
  agent: AgentDouble,
  volumeId: string,
  { id, command }: Task,
): Promise<TaskStatus> {
  const end = performance.now() + 20_000
  for (let attempt = 1; ; attempt += 1) {
    const task = { id: attempt === 1 ? id : `${id}-${attempt}`, command }
    await start(framework, agent, volumeId, task)
    const status = await framework.taskStatus(task.id, ENDS, 30_000)
    const { reason } = status
    const isOvertaken = reason === 'REASON_CONTAINER_LAUNCH_FAILED' || reason === 'REASON_INVALID_OFFERS'
    if (!isOvertaken || performance.now() > end) return status
  }
}
