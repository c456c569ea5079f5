import { type ChildProcess, execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'

const TOP = join(import.meta.dirname, '../../../..')
export const DVDCLI = join(TOP, 'bin/dvdcli')

export interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

/** What a command of an agent's is started with: nothing of this machine's own settings or plugins. */
export type Environment = Readonly<Record<string, string>>

/** Makes the program from the sources as they are. */
export function buildDvdcli(): void {
  execFileSync(process.execPath, [join(TOP, 'scripts/bundle-dvdcli.ts')])
}

/** Runs the program as it is installed. @param started is told the process */
export function dvdcli(args: readonly string[], env: Environment, started?: (child: ChildProcess) => void) {
  const start = performance.now()
  return new Promise<Output>((resolve) => {
    const all = { PATH: process.env.PATH ?? '', HOLDFAST_PLUGIN_SPECS_DIRS: '/nowhere', ...env }
    const child = execFile(DVDCLI, args, { env: all, timeout: 40_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout, stderr, ms: performance.now() - start })
    })
    started?.(child)
  })
}

/** `--volumedriver=… --volumename=…`, and options. */
export function named(driver: string, volume: string, ...options: string[]): string[] {
  return [`--volumedriver=${driver}`, `--volumename=${volume}`, ...options.map((each) => `--volumeopts=${each}`)]
}
