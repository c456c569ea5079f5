import type { Route } from './route.ts'
import { ATTACHMENT_ROUTES } from './routes-attachments.ts'
import { EVENT_ROUTES } from './routes-events.ts'
import { EXPLAIN_ROUTES } from './routes-explain.ts'
import { GROUP_ROUTES } from './routes-groups.ts'
import { HOLD_ROUTES } from './routes-holds.ts'
import { MESOS_ROUTES } from './routes-mesos.ts'
import { MESOS_DISK_ROUTES } from './routes-mesos-disks.ts'
import { MESOS_PROVIDER_ROUTES } from './routes-mesos-provider.ts'
import { NODE_PROTOCOL_ROUTES } from './routes-node.ts'
import { NODE_ROUTES } from './routes-nodes.ts'
import { OPERATION_ROUTES } from './routes-operations.ts'
import { POOL_ROUTES } from './routes-pools.ts'
import { PROFILE_ROUTES } from './routes-profiles.ts'
import { ROLE_ROUTES } from './routes-roles.ts'
import { SNAPSHOT_GROUP_ROUTES } from './routes-snapshot-groups.ts'
import { SNAPSHOT_ROUTES } from './routes-snapshots.ts'
import { SYSTEM_ROUTES } from './routes-system.ts'
import { TOKEN_ROUTES } from './routes-tokens.ts'
import { VOLUME_ROUTES } from './routes-volumes.ts'

/** Everything that the REST door offers. */
export const ROUTES: readonly Route[] = [
  ...SYSTEM_ROUTES,
  ...POOL_ROUTES,
  ...NODE_ROUTES,
  ...TOKEN_ROUTES,
  ...ROLE_ROUTES,
  ...HOLD_ROUTES,
  ...VOLUME_ROUTES,
  ...GROUP_ROUTES,
  ...SNAPSHOT_ROUTES,
  ...SNAPSHOT_GROUP_ROUTES,
  ...ATTACHMENT_ROUTES,
  ...OPERATION_ROUTES,
  ...EVENT_ROUTES,
  ...EXPLAIN_ROUTES,
  ...PROFILE_ROUTES,
  ...MESOS_ROUTES,
  ...MESOS_DISK_ROUTES,
  ...MESOS_PROVIDER_ROUTES,
  ...NODE_PROTOCOL_ROUTES,
]

/** The methods that some path offers; empty when there is no such path. */
export function methodsAt(path: string): string[] {
  return ROUTES.filter((each) => matches(each.path, path)).map((each) => each.method)
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  return wanted.length === given.length && wanted.every((part, index) => part.startsWith(':') || part === given[index])
}
