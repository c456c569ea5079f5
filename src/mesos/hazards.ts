/** Something about a Mesos cluster that will hurt, found by looking at how it runs. */
export interface Hazard {
  readonly code: HazardCode
  /** `stops`: it does not work so. `danger`: it works until somebody does harm. `note`: worth knowing. */
  readonly severity: 'stops' | 'danger' | 'note'
  /** `the master`, `agent a1`. */
  readonly where: string
  readonly sentence: string
  readonly advice: string
}

export type HazardCode =
  | 'mesos_too_old'
  | 'mesos_untried'
  | 'disk_offers_hidden'
  | 'create_disk_forbidden'
  | 'acls_unreadable'
  | 'operator_api_open'
  | 'roles_open'
  | 'principal_shared'
  | 'no_resource_provider'
  | 'provider_endpoint_open'
  | 'provider_endpoint_disabled'
  | 'state_may_be_hidden'
  | 'launcher_without_cgroups'
  | 'unified_cgroup'
  // of Holdfast and Mesos together
  | 'masters_not_set'
  | 'masters_unreachable'
  | 'guard_absent'
  | 'guard_unverified'
  | 'master_unguarded'
  | 'master_unseen'
  | 'roles_conflict'
  | 'provider_missing'
  | 'provider_away'
  | 'provider_trouble'
  | 'agent_unknown'

export type Flags = ReadonlyMap<string, string>

/** What is found wrong, without the place. */
export type Finding = Omit<Hazard, 'where'>
