import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { digest, newSecret } from '../runtime/secrets.ts'

export interface JoinParts {
  /** The node's state directory. */
  readonly directory: string
  readonly name: string
  readonly machineId: string
  readonly labels: Readonly<Record<string, string>>
  /** Sends the join with the given bearer token. */
  readonly join: (body: {
    name: string
    machineId: string
    credentialHash: string
    labels: Record<string, string>
  }) => Promise<unknown>
}

/**
 * The node's own credential, from its state directory; the first time it is made here and joined, so that the secret
 * itself never travels. A join that was cut off is repeated with the same secret.
 * @throws unauthenticated when there is no credential yet and the join token is not accepted
 */
export async function nodeCredential(parts: JoinParts): Promise<string> {
  const path = join(parts.directory, 'node.token')
  if (existsSync(path)) return readSecret(path)
  const joining = `${path}.joining`
  if (!existsSync(joining)) writeFileSync(joining, `${newSecret()}\n`, { mode: 0o600, flag: 'wx', flush: true })
  const secret = readSecret(joining)
  const { name, machineId, labels } = parts
  await parts.join({ name, machineId, labels: { ...labels }, credentialHash: digest(secret) })
  renameSync(joining, path)
  return secret
}

function readSecret(path: string): string {
  const secret = readFileSync(path, 'utf8').trim()
  if (/^hft_[\w-]{32}$/.test(secret)) return secret
  throw new HoldfastError('state_dir', `${path} is damaged; remove it and join the node again`)
}
