import type { AgentState } from './agent-state.ts'
import type { Executor } from './executor.ts'
import { print } from './print.ts'
import { providerOf, sum } from './resources.ts'
import type { Resource } from './types.ts'

/**
 * Asks the providers of a container's resources to have them ready. Each is told all of its resources that are in use
 * on the agent, those of other containers included.
 *
 * @param done called with the first failure, or with undefined when all have said OK
 */
export function publishFor(
  agent: AgentState,
  executor: Executor,
  resources: readonly Resource[],
  done: (failure: string | undefined) => void,
): void {
  const ids = [...new Set(resources.map(providerOf))].filter((id) => id !== undefined)
  if (ids.length === 0) {
    done(undefined)
    return
  }
  let waiting = ids.length
  const finish = (failure: string | undefined) =>
    agent.turn(() => {
      if (waiting <= 0) return
      waiting = failure === undefined ? waiting - 1 : 0
      if (waiting === 0) done(failure)
    })
  for (const id of ids) {
    const mine = sum(resources.filter((resource) => providerOf(resource) === id))
    const others = [...agent.executors].filter((other) => other !== executor && other.state !== 'terminated')
    const all = sum([
      ...mine,
      ...others.flatMap(({ allocated }) => allocated).filter((resource) => providerOf(resource) === id),
    ])
    agent.manager.publish(id, withoutRepeats(all), (failure) => {
      const where = `Failed to publish resources '${print(mine)}' for container ${executor.containerId}`
      finish(failure === undefined ? undefined : `${where}: Collect failed: ${failure}`)
    })
  }
}

/** A shared volume that several tasks use is one resource. */
function withoutRepeats(resources: readonly Resource[]): Resource[] {
  const seen = new Set<string>()
  return resources.filter((resource) => {
    const key = JSON.stringify(resource)
    if (resource.shared === undefined) return true
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
