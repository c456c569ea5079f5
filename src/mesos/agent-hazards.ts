import { quote } from '../model/units.ts'
import type { Finding, Flags, Hazard } from './hazards.ts'
import { isObject } from './json.ts'
import { isBefore, parseVersion } from './version.ts'
import { versionHazards } from './version-hazards.ts'

export interface AgentFacts {
  readonly hostname: string
  readonly version?: string | undefined
  readonly flags: Flags
  /** As the master has them of the agent (GET_AGENTS). */
  readonly capabilities: readonly string[]
  /** Mount points of the agent's machine with their filesystem types, where they are known. */
  readonly mounts?: readonly { readonly target: string; readonly type: string }[]
}

/** What a doctor finds at an agent. */
export function agentHazards(facts: AgentFacts): Hazard[] {
  const findings = [
    ...versionHazards(facts.version),
    ...capability(facts),
    ...endpoint(facts.flags),
    ...visibility(facts.flags),
    ...cgroups(facts),
  ]
  return findings.map((finding) => ({ ...finding, where: `agent ${facts.hostname}` }))
}

/** On by default from 1.7 on (Mesos src/slave/flags.cpp, `--agent_features`). */
function capability({ capabilities }: AgentFacts): Finding[] {
  if (capabilities.includes('RESOURCE_PROVIDER')) return []
  const sentence = 'it lacks the capability RESOURCE_PROVIDER, so it shows no volumes'
  const advice =
    'before 1.7 start it with --agent_features that list RESOURCE_PROVIDER besides MULTI_ROLE, HIERARCHICAL_ROLE and ' +
    'RESERVATION_REFINEMENT; later versions have it unless --agent_features leaves it out'
  return [{ code: 'no_resource_provider', severity: 'stops', sentence, advice }]
}

const ENDPOINT = /(^|\/)api\/v1\/resource_provider$/

/** The endpoint takes providers from anybody: Mesos has no authentication for it. */
function endpoint(flags: Flags): Finding[] {
  const disabled = disabledPaths(flags.get('firewall_rules')).filter((path) => ENDPOINT.test(path))
  if (disabled.length > 0) {
    const sentence = `its firewall_rules disable ${disabled.map(quote).join(', ')}, which a provider needs`
    const advice = 'take it out of --firewall_rules, and keep the port from other machines by a packet filter'
    return [{ code: 'provider_endpoint_disabled', severity: 'stops', sentence, advice }]
  }
  const ip = flags.get('ip')
  if (ip !== undefined && /^(127\.|::1$)/.test(ip)) return []
  const where = ip === undefined || ip === '0.0.0.0' ? 'every address' : ip
  const sentence =
    `its provider endpoint is open on ${where}, port ${flags.get('port') ?? '5051'}, without authentication: ` +
    'anybody who reaches it can pose as a provider and can end the agent'
  const advice = 'let only masters, agents and operators reach that port, by a packet filter'
  return [{ code: 'provider_endpoint_open', severity: 'danger', sentence, advice }]
}

function disabledPaths(rules: string | undefined): string[] {
  try {
    const value: unknown = JSON.parse(rules ?? '{}')
    const endpoints = isObject(value) ? value.disabled_endpoints : undefined
    const paths = isObject(endpoints) ? endpoints.paths : undefined
    return Array.isArray(paths) ? paths.filter((path) => typeof path === 'string') : []
  } catch {
    // the text form of protobuf, in which a master shows some flags
    return [...(rules ?? '').matchAll(/paths:\s*"([^"]*)"/g)].map(([, path = '']) => path)
  }
}

/**
 * An agent leaves out of GET_STATE and GET_CONTAINERS what the caller may not see, with status 200; a volume would then
 * look unused while a task writes to it.
 */
function visibility(flags: Flags): Finding[] {
  const authorizer = flags.get('authorizer') ?? 'local'
  const acls = flags.get('acls') ?? ''
  const restricts = /view_(tasks|executors|frameworks|containers|standalone_containers)/.test(acls)
  if (authorizer === 'local' && !restricts && !/permissive"?\s*:\s*false/.test(acls)) return []
  const reason = authorizer === 'local' ? 'its ACLs say' : `its authorizer ${quote(authorizer)} says`
  const sentence = `who sees which tasks and containers is what ${reason}; a volume in use must never look unused`
  const advice = 'let the principal of the provider view every framework, task, executor and container of this agent'
  return [{ code: 'state_may_be_hidden', severity: 'danger', sentence, advice }]
}

/** Two peculiarities of 1.12-dev, with which an agent does not start. */
function cgroups({ version: text = '', flags, mounts = [] }: AgentFacts): Finding[] {
  const version = parseVersion(text)
  if (version === undefined || isBefore(version, 1, 12)) return []
  const findings: Finding[] = []
  const isolation = flags.get('isolation') ?? ''
  if ((flags.get('launcher') ?? 'linux') === 'linux' && !isolation.includes('cgroups/')) {
    findings.push({
      code: 'launcher_without_cgroups',
      severity: 'stops',
      sentence: `its launcher is linux, and its isolation ${quote(isolation)} has none of cgroups: such an agent ends at its start`,
      advice: 'add cgroups/cpu or another one of cgroups to --isolation, or use --launcher=posix',
    })
  }
  const root = flags.get('cgroups_hierarchy') ?? '/sys/fs/cgroup'
  const unified = mounts.find(({ target, type }) => type === 'cgroup2' && target.startsWith(`${root}/`))
  if (unified !== undefined) {
    findings.push({
      code: 'unified_cgroup',
      severity: 'stops',
      sentence: `${unified.target} is a cgroup2 mount inside a hierarchy of version 1: it does not start again so`,
      advice: 'start it in a mount namespace of its own in which that is unmounted, or boot with one version only',
    })
  }
  return findings
}
