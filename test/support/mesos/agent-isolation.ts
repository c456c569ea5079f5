/** Volumes in a task's `container`: what the agent's isolator does before a container starts and after it has ended. */
import type { AgentState } from './agent-state.ts'
import type { Executor } from './executor.ts'

/** @param then called in a turn of the agent; with the reason when the container can't start */
export function isolate(agent: AgentState, executor: Executor, then: (failure: string | undefined) => void): void {
  const { isolator } = agent
  const containers = [...executor.tasks.values()].flatMap(({ info }) => info.container ?? [])
  const volumes = containers.filter(({ type }) => type === 'MESOS').flatMap((each) => each.volumes ?? [])
  if (isolator === undefined || volumes.length === 0) {
    then(undefined)
    return
  }
  isolator.prepare(executor.containerId, { type: 'MESOS', volumes }).then(
    (mounts) => {
      executor.isolated = mounts
      agent.turn(() => then(undefined))
    },
    async (thrown: unknown) => {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      const after = await cleanUp(agent, executor)
      agent.turn(() => then(`Failed to launch container: ${why}${after}`))
    },
  )
}

/** @returns what went wrong, as it is told after the reason of a launch that failed */
export async function cleanUp(agent: AgentState, executor: Executor): Promise<string> {
  try {
    await agent.isolator?.cleanup(executor.containerId)
    return ''
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    return `; Abnormal executor termination: Failed to clean up an isolator when destroying container: ${why}`
  }
}
