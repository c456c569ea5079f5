import { timingSafeEqual } from 'node:crypto'
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'
import { digest, newSecret } from '../../runtime/secrets.ts'
import type { Engine } from '../engine.ts'
import { type Caller, DOORS, type Door } from './caller.ts'

/** Tells who a bearer token belongs to. */
export class Authenticator {
  readonly #engine: Engine
  readonly #adminDigest: Buffer

  constructor(engine: Engine, adminSecret: string) {
    this.#engine = engine
    this.#adminDigest = Buffer.from(digest(adminSecret))
  }

  /**
   * @param authorization the header as sent; @param door the `Holdfast-Door` header, believed from nodes and operators
   * @throws unauthenticated; not_ready while the ledger cannot be asked
   */
  async identify(authorization: string | undefined, door: string | undefined): Promise<Caller> {
    const secret = bearer(authorization)
    const hash = digest(secret)
    if (timingSafeEqual(Buffer.from(hash), this.#adminDigest)) {
      return {
        tokenRole: 'admin',
        principal: 'admin',
        door: doorOf(door),
        roles: undefined,
        nodeId: undefined,
        tokenId: undefined,
      }
    }
    const known = await this.#engine.read((state) => {
      const token = state.get('token', state.tokenByHash.get(hash) ?? '')
      const node = token?.nodeId === undefined ? undefined : state.get('node', token.nodeId)
      return token === undefined ? undefined : { token, nodeName: node?.name }
    })
    if (known === undefined) throw new HoldfastError('unauthenticated', 'this token is unknown, used up or revoked')
    const { token, nodeName } = known
    if (token.expiresAt !== undefined && token.expiresAt <= this.#engine.now()) {
      throw new HoldfastError('unauthenticated', 'this token has expired')
    }
    return {
      tokenRole: token.tokenRole,
      principal: nodeName === undefined ? `token ${token.id}` : `node ${nodeName}`,
      door: token.tokenRole === 'node' || token.tokenRole === 'operator' ? doorOf(door) : 'rest',
      roles: token.roles,
      nodeId: token.nodeId,
      tokenId: token.id,
    }
  }
}

function bearer(authorization: string | undefined): string {
  if (authorization === undefined) {
    throw new HoldfastError('unauthenticated', 'send your token in the header "Authorization: Bearer TOKEN"')
  }
  const match = /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(authorization)
  if (match?.[1] === undefined) {
    throw new HoldfastError('unauthenticated', 'the header Authorization must read "Bearer TOKEN"')
  }
  return match[1]
}

function doorOf(door: string | undefined): Door {
  if (door === undefined) return 'rest'
  const known = DOORS.find((each) => each === door)
  if (known !== undefined) return known
  throw new HoldfastError('invalid_option', `header Holdfast-Door ${quote(door)}: one of ${DOORS.join(', ')}`)
}

/**
 * The admin's token in `<stateDir>/admin.token`; made, readable by its owner alone, when it is not there yet.
 * @throws state_dir when others may read it, or it cannot be read or written
 */
export async function adminToken(stateDir: string): Promise<string> {
  const path = join(stateDir, 'admin.token')
  try {
    return (await readAdminToken(path)) ?? (await writeAdminToken(stateDir, path))
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown
    throw new HoldfastError('state_dir', `the admin token ${path}: ${(thrown as Error).message}`, {}, { cause: thrown })
  }
}

async function readAdminToken(path: string): Promise<string | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined) return undefined
  if ((found.mode & 0o077) !== 0) {
    const mode = (found.mode & 0o777).toString(8)
    throw new HoldfastError('state_dir', `the admin token ${path} has mode ${mode}: others can use it; chmod 600 it`)
  }
  const secret = (await readFile(path, 'utf8')).trim()
  if (!/^[\x21-\x7e]{16,512}$/.test(secret)) {
    throw new HoldfastError('state_dir', `the admin token ${path} is not one line of 16 to 512 characters; remove it`)
  }
  return secret
}

async function writeAdminToken(stateDir: string, path: string): Promise<string> {
  const secret = newSecret()
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(`${secret}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  const folder = await open(stateDir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
  return secret
}
