import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'
import type { MountRequest, NodeDaemon } from '../../node/daemon.ts'
import type { LocalCall } from './local-server.ts'

export interface LocalCallParts {
  readonly node: Pick<NodeDaemon, 'mount' | 'unmount' | 'status' | 'table'>
  /** Where this node mounts volumes. */
  readonly mountRoot: string
}

type Body = Readonly<Record<string, unknown>>
type User = MountRequest['user']

/** `POST /mount`, `POST /unmount`, `GET /status`. */
export function localCalls(parts: LocalCallParts): ReadonlyMap<string, LocalCall> {
  const { node, mountRoot } = parts
  return new Map<string, LocalCall>([
    ['POST /mount', async (body) => ({ path: await mount(parts, body) })],
    [
      'POST /unmount',
      async (body) => {
        await node.unmount(text(body, 'volume'), userOf(body))
        return {}
      },
    ],
    ['GET /status', async () => ({ ...node.status(), mountRoot })],
  ])
}

/**
 * `exclusive`: not together with a user of another door, who could not be told apart from ours by the one who asks.
 * A user who comes in the same moment makes the claim void again.
 */
async function mount(parts: LocalCallParts, body: Body): Promise<string> {
  const request = mountRequest(body)
  const exclusive = flag(body, 'exclusive')
  if (exclusive) checkAlone(parts, request)
  const path = await parts.node.mount(request)
  if (!exclusive) return path
  try {
    checkAlone(parts, request)
    return path
  } catch (thrown) {
    await parts.node.unmount(request.volume, request.user)
    throw thrown
  }
}

function checkAlone({ node }: LocalCallParts, { volume, user }: MountRequest): void {
  const users = node.table.find(volume)?.entry?.users ?? []
  const other = users.find((each) => each.door !== user.door)
  if (other === undefined) return
  throw new HoldfastError('in_use', `volume ${quote(volume)} is used on this node by ${other.door} (${other.id})`)
}

function mountRequest(body: Body): MountRequest {
  const { mode = 'rw', roles, mountAt } = body
  if (mode !== 'rw' && mode !== 'ro') throw wrong('mode: "rw" or "ro"')
  const isList = Array.isArray(roles) && roles.every((each) => typeof each === 'string')
  if (roles !== undefined && !isList) throw wrong('roles: a list of texts')
  return {
    volume: text(body, 'volume'),
    user: userOf(body),
    mode,
    ...(mountAt === undefined ? {} : { mountAt: text(body, 'mountAt') }),
    ...(isList ? { roles: roles as string[] } : {}),
  }
}

function userOf(body: Body): User {
  const { user } = body
  if (user === null || typeof user !== 'object') throw wrong('user: {"door": "mesos", "id": "…"}')
  const { door, id } = user as Body
  if (typeof door !== 'string' || !/^[a-z]{1,16}$/.test(door)) throw wrong('user.door: at most 16 lower-case letters')
  if (typeof id !== 'string' || !/^[\x21-\x7e]{1,256}$/.test(id)) {
    throw wrong('user.id: at most 256 printable characters without blanks')
  }
  return { door, id }
}

function text(body: Body, key: string): string {
  const value = body[key]
  if (typeof value === 'string' && value !== '') return value
  throw wrong(`${key}: ${key === 'mountAt' ? 'an absolute path' : 'give its name or id'}`)
}

function flag(body: Body, key: string): boolean {
  const value = body[key] ?? false
  if (typeof value === 'boolean') return value
  throw wrong(`${key}: true or false`)
}

function wrong(what: string): HoldfastError {
  return new HoldfastError('invalid_request', what)
}
