import { chmod, lstat, mkdir, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { dirname, isAbsolute } from 'node:path'
import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'

/** The kernel's limit (unix(7): sun_path has 108 bytes with the one that ends it). */
const MAX_SOCKET_PATH = 107

/**
 * Listens on a unix socket that only root may use: dockerd and dvdcli run as root, and whoever may connect can mount.
 * A socket that nobody answers on is left from a process that was killed, and is replaced.
 * @throws invalid_option for a path that can't be one, in_use when somebody answers there
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  checkPath(path)
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  await removeStale(path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
  await chmod(path, 0o600)
}

function checkPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (!isAbsolute(path)) throw new HoldfastError('invalid_option', `socket ${quote(path)}: give an absolute path`)
  if (bytes > MAX_SOCKET_PATH) {
    throw new HoldfastError(
      'invalid_option',
      `socket ${quote(path)}: the path has ${bytes} bytes, and a unix socket's has at most ${MAX_SOCKET_PATH}; choose a shorter directory`,
    )
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new HoldfastError('invalid_option', `socket ${quote(path)}: there is something that is not a socket; move it`)
  }
  if (await answers(path)) {
    throw new HoldfastError('in_use', `socket ${quote(path)}: another process answers there; stop it first`)
  }
  await unlink(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const done = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => done(true))
    // a full backlog (EAGAIN) is somebody, too; only a refusal proves that nobody is there
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED'))
  })
}
