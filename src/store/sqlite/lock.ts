import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../../model/errors.ts'
import { failureOf, isBusy } from './failure.ts'

const LOCK_FILE = 'controller.lock'

/**
 * The right to write in a state directory, held by one living process. Node has no flock, so it is an exclusive
 * transaction on an empty SQLite file of its own: the kernel drops the lock with the process, however that ends.
 *
 * The locks of POSIX belong to the process and vanish when *any* descriptor of the file is closed in it
 * (https://sqlite.org/howtocorrupt.html, section 2.2): nothing in this process may open the lock file by node:fs.
 */
export class DirectoryLock {
  readonly #database: DatabaseSync

  /**
   * @param owner what holds it, for messages
   * @throws fenced when a living process holds it
   * @throws state_dir when the lock file cannot be made or is no lock file
   */
  constructor(directory: string, owner = 'controller') {
    this.#database = open(directory, owner)
    try {
      this.#database.exec('BEGIN EXCLUSIVE')
    } catch (thrown) {
      this.#database.close()
      throw lockError(directory, owner, thrown)
    }
  }

  release(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

function open(directory: string, owner: string): DatabaseSync {
  try {
    return new DatabaseSync(join(directory, LOCK_FILE), { timeout: 0 })
  } catch (thrown) {
    throw lockError(directory, owner, thrown)
  }
}

function lockError(directory: string, owner: string, thrown: unknown): HoldfastError {
  const failure = failureOf(thrown)
  const file = join(directory, LOCK_FILE)
  if (isBusy(failure)) {
    return new HoldfastError(
      'fenced',
      `The state directory ${directory} is in use by another ${owner}, which is alive and holds ${file} ` +
        `(see: fuser -v on that file). Stop it first, or give this ${owner} a state directory of its own.`,
      { directory },
    )
  }
  return new HoldfastError(
    'state_dir',
    `The lock ${file} cannot be taken: ${failure.message}. It holds no data: when no ${owner} runs here, remove it.`,
    { directory },
  )
}
