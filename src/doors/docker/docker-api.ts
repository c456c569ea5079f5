import { request } from 'node:http'
import { HoldfastError } from '../../model/errors.ts'

const ANSWER_MS = 10_000
const MAX_ANSWER = 64 * 1024 * 1024
/** What the Engine API calls a container that has no process (any other may use its mounts). */
const STILL: ReadonlySet<unknown> = new Set(['created', 'exited', 'dead'])

interface Container {
  readonly State?: unknown
  readonly Mounts?: readonly { readonly Type?: unknown; readonly Name?: unknown }[]
}

/**
 * Names of the volumes that containers with a process have. Docker does not tell mount IDs, so the name is all there
 * is to go by. Engine API `GET /containers/json` (docs.docker.com/reference/api/engine), any version since 1.22.
 * @throws unreachable when Docker can't be asked or its answer is not understood
 */
export async function volumesInUse(socketPath: string): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (const container of await containers(socketPath)) {
    if (STILL.has(container.State)) continue
    for (const mount of container.Mounts ?? []) {
      if (mount.Type === 'volume' && typeof mount.Name === 'string') names.add(mount.Name)
    }
  }
  return names
}

async function containers(socketPath: string): Promise<readonly Container[]> {
  try {
    const list: unknown = JSON.parse(await get(socketPath, '/containers/json?all=1'))
    if (Array.isArray(list) && list.every((each) => each !== null && typeof each === 'object')) return list
    throw new Error('its answer is not a list of containers')
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new HoldfastError('unreachable', `Docker at ${socketPath}: ${why}`, {}, { cause: thrown })
  }
}

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(ANSWER_MS)
    const sent = request({ socketPath, path, signal, headers: { host: 'docker' } }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > MAX_ANSWER) sent.destroy(new Error('its answer is too large'))
        chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString())
        else reject(new Error(`it answered with HTTP status ${response.statusCode}`))
      })
    })
    sent.on('error', reject)
    sent.end()
  })
}
