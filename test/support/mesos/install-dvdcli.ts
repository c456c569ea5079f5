import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Puts an executable `dvdcli` into a folder, for an agent's PATH.
 * @param plugins the folder with the sockets of plugins, which is /run/docker/plugins for the real one
 */
export function installDvdcli(folder: string, plugins: string): string {
  mkdirSync(folder, { recursive: true })
  const program = join(import.meta.dirname, 'dvdcli-stand-in.ts')
  const file = join(folder, 'dvdcli')
  const quoted = [process.execPath, program, plugins].map((word) => `'${word}'`).join(' ')
  writeFileSync(file, `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o755 })
  return file
}
