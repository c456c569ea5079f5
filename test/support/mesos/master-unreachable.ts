import { rescind } from './master-offers.ts'
import { type MasterState, offersOn, publish, sendTo } from './master-state.ts'
import { lostTasks } from './master-tasks.ts'

/**
 * An agent has not answered for --agent_ping_timeout × --max_agent_ping_timeouts, 75 seconds as a rule: it is removed,
 * and what it ran may run on for all the master knows. It may register again.
 */
export function markUnreachable(master: MasterState, agentId: string): void {
  const agent = master.agents.get(agentId)
  if (agent === undefined) return
  lostTasks(master, agent, () => true, `Agent ${agent.hostname} is unreachable`, 'TASK_UNREACHABLE')
  for (const offer of offersOn(master, agentId)) rescind(master, offer)
  master.agents.delete(agentId)
  master.allocator.removeAgent(agentId)
  for (const framework of master.frameworks.values()) {
    sendTo(framework, { type: 'FAILURE', failure: { agent_id: { value: agentId } } })
  }
  publish(master, { type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: agentId } } })
}
