import type { AgentAnswer, AgentClient } from '../../../mesos/agent-client.ts'
import { HoldfastError } from '../../../model/errors.ts'
import type { RestClient } from '../../../node/http-link.ts'
import type { LocalNodeClient } from '../../local/node-client.ts'
import type { Look } from './agent-look.ts'
import type { Request } from './desk.ts'

export interface RequestParts {
  /** Read anew for each call: its credential may come later. */
  readonly rest: () => RestClient
  readonly node: LocalNodeClient
  /** The same, its files may change. @throws when one of them can't be read */
  readonly agent: () => AgentClient
  /** As long as a whole PUBLISH_RESOURCES may take. */
  readonly mountMs: number
}

/** The node daemon waits for what still uses the mount. */
const UNMOUNT_MS = 120_000
const STATUS_MS = 5000
/** The door under which the agent is a user of volumes. */
const DOOR = 'mesos'

/** Does what the logic asks for. @throws the refusal, or why there was no answer */
export async function perform({ rest, node, agent, mountMs }: RequestParts, request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'rest':
      return rest().rest(request.method, request.path, request.body, { 'holdfast-door': DOOR })
    case 'mount': {
      const user = { door: DOOR, id: request.user }
      const path = await node.mount({ volume: request.volumeId, user, mode: 'rw', exclusive: true }, mountMs)
      return { path }
    }
    case 'unmount':
      return node.unmount(request.volumeId, { door: DOOR, id: request.user }, UNMOUNT_MS)
    case 'node': {
      const { mountRoot } = await node.status(STATUS_MS)
      return { mountRoot }
    }
    case 'agent':
      return { id: agentId(answered(await agent().agentInfo())) }
    case 'look':
      return look(agent())
  }
}

/** Containers are asked for after tasks: a task that starts between the two is in neither list only if it is in none. */
async function look(agent: AgentClient): Promise<Look> {
  const state = answered(await agent.state())
  const containers = answered(await agent.containers())
  return { state, containers }
}

function agentId(info: { readonly id?: { readonly value: string } } | undefined): string {
  if (info?.id !== undefined) return info.id.value
  throw new HoldfastError('mesos_unreachable', 'the agent has not registered with a master yet')
}

function answered<T>(answer: AgentAnswer<T>): T {
  if (answer.kind === 'answered') return answer.value
  if (answer.kind === 'recovering') throw new HoldfastError('mesos_unreachable', 'the agent has not finished recovery')
  throw new HoldfastError(answer.kind === 'refused' ? 'mesos_refused' : 'mesos_unreachable', answer.why)
}
