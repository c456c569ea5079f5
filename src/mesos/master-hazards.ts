import { asHoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { readAcls } from './acl-rules.ts'
import type { Finding, Flags, Hazard } from './hazards.ts'
import type { MasterFramework } from './master-protocol.ts'
import { versionHazards } from './version-hazards.ts'

export interface MasterFacts {
  readonly version?: string | undefined
  readonly flags: Flags
  readonly frameworks: readonly MasterFramework[]
  /** Of Holdfast's own reservations. */
  readonly principal: string
}

/** What a doctor finds at a master. */
export function masterHazards(facts: MasterFacts): Hazard[] {
  const findings = [
    ...versionHazards(facts.version),
    ...offers(facts.flags),
    ...authorization(facts.flags),
    ...authentication(facts.flags),
    ...principals(facts),
  ]
  return findings.map((finding) => ({ ...finding, where: 'the master' }))
}

/** Mesos src/master/constants.hpp. */
const MIN_ALLOCATABLE = 'cpus:0.01|mem:32'

/**
 * `--min_allocatable_resources` is a list of alternatives, and what fits none of them is not offered: with the default
 * a volume is not, while the processors and memory of its agent are in use or in another offer.
 */
function offers(flags: Flags): Finding[] {
  const text = flags.get('min_allocatable_resources') ?? MIN_ALLOCATABLE
  const alternatives = text.split('|').map((each) => each.trim())
  const sizes = alternatives.map(diskAlone).filter((size) => size !== undefined)
  const advice = `start the masters with --min_allocatable_resources='${text === '' ? '' : `${text}|`}disk:1'`
  if (text.trim() === '') return []
  if (sizes.length === 0) {
    const sentence = `min_allocatable_resources is ${quote(text)}: a volume is not offered while its agent's cpus and mem are taken`
    return [{ code: 'disk_offers_hidden', severity: 'stops', sentence, advice }]
  }
  const smallest = Math.min(...sizes)
  if (smallest <= 1) return []
  const sentence = `min_allocatable_resources is ${quote(text)}: volumes below ${smallest} MiB are not offered by themselves`
  return [{ code: 'disk_offers_hidden', severity: 'note', sentence, advice }]
}

/** MiB of disk that suffice by themselves. */
function diskAlone(alternative: string): number | undefined {
  const match = /^disk:(\d+(?:\.\d+)?)$/.exec(alternative)
  return match === null ? undefined : Number(match[1])
}

function authorization(flags: Flags): Finding[] {
  const text = flags.get('acls')
  if (text === undefined) return []
  try {
    const { permissive, actions } = readAcls(text)
    if (permissive || actions.includes('create_mount_disks')) return []
    const sentence = 'its ACLs are not permissive and have no create_mount_disks, so CREATE_DISK is denied to everybody'
    const advice = 'add create_mount_disks for the principals and roles that may make volumes'
    return [{ code: 'create_disk_forbidden', severity: 'stops', sentence, advice }]
  } catch (thrown) {
    const sentence = `its ACLs cannot be read: ${asHoldfastError(thrown).message}`
    const advice =
      'compare --acls with docs/authorization.md of Mesos; until then volumes stay on the agent where they were made'
    return [{ code: 'acls_unreadable', severity: 'danger', sentence, advice }]
  }
}

function authentication(flags: Flags): Finding[] {
  const isOn = (name: string) => flags.get(name) === 'true'
  const findings: Finding[] = []
  if (!isOn('authenticate_http_readwrite')) {
    findings.push({
      code: 'operator_api_open',
      severity: 'danger',
      sentence: 'its operator API takes calls from anybody, such as MARK_AGENT_GONE and TEARDOWN',
      advice: 'set --authenticate_http_readwrite and --credentials, or keep its port from others',
    })
  }
  if (!isOn('authenticate_http_frameworks') || !isOn('authenticate_frameworks')) {
    findings.push({
      code: 'roles_open',
      severity: 'danger',
      sentence:
        'frameworks are not authenticated, so any of them can take a role and with it what is reserved to that role',
      advice:
        'set --authenticate_frameworks and --authenticate_http_frameworks, and give register_frameworks in the ACLs',
    })
  }
  return findings
}

function principals({ frameworks, principal }: MasterFacts): Finding[] {
  const names = frameworks
    .filter(({ framework_info: info }) => info.principal === principal)
    .map(({ framework_info: info }) => quote(info.name))
  if (names.length === 0) return []
  const sentence = `frameworks run under the principal ${quote(principal)}, which is the one of the storage: ${names.join(', ')}`
  const advice = 'give them a principal of their own; what they reserve cannot be unreserved'
  return [{ code: 'principal_shared', severity: 'danger', sentence, advice }]
}
