import { asHoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { type AclRules, readAcls } from './acl-rules.ts'
import { coveredBy, type RequiredAcls } from './acls.ts'
import type { Flags } from './hazards.ts'
import type { MasterClient } from './master-client.ts'
import type { Resource } from './resource.ts'

/** Whether the masters forbid what a provider cannot refuse; and what was found, in sentences. */
export interface Guard {
  /**
   * - `verified`: the ACLs forbid all of it, and a master has refused a trial.
   * - `absent`: something is open for certain.
   * - `unverified`: not certain either way. To be treated as absent.
   */
  readonly state: 'verified' | 'absent' | 'unverified'
  readonly why: readonly string[]
}

export interface GuardWishes {
  readonly principal: string
  readonly required: RequiredAcls
}

type Master = Pick<MasterClient, 'flags' | 'query' | 'change'>
/** What one way of looking found; undefined: it could not tell. */
export interface GuardFinding {
  readonly guarded: boolean | undefined
  readonly why: readonly string[]
}

/**
 * Reads the leading master's ACLs, and tries whether it acts on them. Neither changes anything. To be done for each new
 * leader: masters do not share their flags.
 */
export async function verifyGuard(master: Master, wishes: GuardWishes): Promise<Guard> {
  const findings = [await readFlags(master, wishes.required), await tryUnreserve(master, wishes.principal)]
  const why = findings.flatMap((finding) => finding.why)
  if (findings.some(({ guarded }) => guarded === false)) return { state: 'absent', why }
  return { state: findings.every(({ guarded }) => guarded === true) ? 'verified' : 'unverified', why }
}

async function readFlags(master: Master, required: RequiredAcls): Promise<GuardFinding> {
  try {
    return guardOfFlags(await master.flags(), required)
  } catch (thrown) {
    return unclear(`the master's flags cannot be read: ${asHoldfastError(thrown).message}`)
  }
}

/** Whether a master that was started with these flags forbids all of it, as far as flags can tell. */
export function guardOfFlags(flags: Flags, required: RequiredAcls): GuardFinding {
  const authorizers = flags.get('authorizers') ?? 'local'
  if (authorizers !== 'local') {
    return unclear(`the master asks its own authorizer ${quote(authorizers)}, so its ACLs say nothing`)
  }
  const text = flags.get('acls')
  if (text === undefined) return { guarded: false, why: ['the master runs without --acls'] }
  let acls: AclRules
  try {
    acls = readAcls(text)
  } catch (thrown) {
    return unclear(`the master's ACLs cannot be read: ${asHoldfastError(thrown).message}`)
  }
  const open = coveredBy(acls, required)
  return { guarded: open.length === 0, why: open.map((each) => `by the master's ACLs, ${each}`) }
}

/**
 * Asks to unreserve something that does not exist, reserved by our principal. A master checks the right before it looks
 * for the resources (Mesos src/master/http.cpp, `_unreserve`): 403 shows the ACL, 409 shows that there is none.
 */
async function tryUnreserve(master: Master, principal: string): Promise<GuardFinding> {
  try {
    const { agents = [] } = await master.query('GET_AGENTS')
    const agent = agents.find(({ active, agent_info: info }) => active !== false && info.id !== undefined)
    const id = agent?.agent_info.id
    if (id === undefined) return unclear('no agent is registered, so it could not be tried')
    const unreserve = { agent_id: id, resources: [nothing(principal)] }
    const result = await master.change({ type: 'UNRESERVE_RESOURCES', unreserve_resources: unreserve })
    if (result.kind === 'denied') return { guarded: true, why: [] }
    if (result.kind === 'invalid') return unclear(`the master took the trial for malformed: ${quote(result.why)}`)
    return {
      guarded: false,
      why: [`the master lets anybody unreserve what the principal ${quote(principal)} reserved`],
    }
  } catch (thrown) {
    return unclear(`it could not be tried: ${asHoldfastError(thrown).message}`)
  }
}

/**
 * A reservation that nothing has. Its label matters more than its size: a master rescinds every offer that would
 * contribute to such a call, and nothing contributes to a reservation with another label.
 */
function nothing(principal: string): Resource {
  const labels = { labels: [{ key: 'holdfast-trial', value: 'nothing is reserved with this label' }] }
  const reservations = [{ type: 'DYNAMIC', role: 'holdfast-trial', principal, labels }] as const
  return { name: 'disk', type: 'SCALAR', scalar: { value: 2 ** 43 }, reservations }
}

function unclear(why: string): GuardFinding {
  return { guarded: undefined, why: [why] }
}
