import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The kernel's id of this boot (proc(5), /proc/sys/kernel/random/boot_id). */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/**
 * What tells this machine's node from another that claims its id: made once, kept with the state, so that a copy of
 * the credential alone does not make a second node of the same name.
 */
export function machineId(stateDirectory: string): string {
  const path = join(stateDirectory, 'machine-id')
  if (!existsSync(path)) writeFileSync(path, `${randomUUID()}\n`, { mode: 0o600, flag: 'wx', flush: true })
  return readFileSync(path, 'utf8').trim()
}
