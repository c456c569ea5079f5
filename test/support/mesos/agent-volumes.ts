/** Where a task's volumes are, and the start of its process. */
import { existsSync, mkdirSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { AgentState } from './agent-state.ts'
import type { Executor, ExecutorTask } from './executor.ts'
import { reservedTo } from './resources.ts'
import { type Mount, type TaskEnd, TaskProcess } from './task-process.ts'
import type { Resource } from './types.ts'

/** Persistent volumes are possible on MOUNT and PATH disks, and on what the agent has itself. */
export function unsupportedVolume({ disk }: Resource): boolean {
  const type = disk?.source?.type
  return disk?.persistence !== undefined && (type === 'BLOCK' || type === 'RAW' || type === 'UNKNOWN')
}

/** @returns why it could not be started */
export function startProcess(
  agent: AgentState,
  executor: Executor,
  entry: ExecutorTask,
  onEnd: (end: TaskEnd) => void,
): string | undefined {
  const sandbox = executor.isCommand ? executor.sandbox : join(executor.sandbox, 'tasks', entry.info.task_id.value)
  const volumes = (entry.info.resources ?? []).filter(({ disk }) => disk?.volume !== undefined)
  const mounts: Mount[] = []
  for (const volume of volumes) {
    const source = sourceOf(agent, volume)
    if (!existsSync(source)) return `Failed to mount volume: '${source}' does not exist`
    mounts.push({ source, target: join(sandbox, volume.disk?.volume?.container_path ?? '') })
  }
  for (const { source, containerPath, readOnly } of executor.isolated) {
    mounts.push({ source, target: isAbsolute(containerPath) ? containerPath : join(sandbox, containerPath), readOnly })
  }
  const variables = entry.info.command?.environment?.variables ?? []
  const env = Object.fromEntries(variables.map(({ name, value }) => [name, value ?? '']))
  entry.process = new TaskProcess(sandbox, entry.info.command?.value ?? 'true', env, mounts, onEnd)
  return undefined
}

/** Of a MOUNT disk with an id it is `<root>/<id>/target`; a relative root is below the agent's work folder. */
function sourceOf(agent: AgentState, volume: Resource): string {
  const source = volume.disk?.source
  const id = volume.disk?.persistence?.id ?? 'volume'
  if (source?.type === 'MOUNT') {
    const root = source.mount?.root ?? ''
    const base = isAbsolute(root) ? root : join(agent.workDir, root)
    return source.id === undefined ? base : join(base, source.id, 'target')
  }
  const path = join(source?.path?.root ?? agent.workDir, 'volumes', 'roles', reservedTo(volume) ?? '*', id)
  mkdirSync(path, { recursive: true })
  return path
}
