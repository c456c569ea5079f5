import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { runDev } from '../src/cli/dev.ts'
import { createLog } from '../src/controller/http/log.ts'
import { type Line, percentile } from './figures.ts'

const ROUNDS = 60
const TOP = join(import.meta.dirname, '..')
const start = promisify(execFile)

/** The whole process of `dvdcli mount` of a mounted volume, as Mesos waits for it, against a Node that does nothing. */
export async function benchDvdcli(): Promise<Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'hfb-'))
  const dev = await runDev({ dir: directory, nodes: 1, poolSizeMiB: 100_000, docker: 'bench', log: createLog('error') })
  const dvdcli = join(TOP, 'bin/dvdcli')
  const named = ['--volumedriver=bench', '--volumename=db']
  const env = { ...process.env, HOLDFAST_PLUGIN_SOCKETS_DIR: dirname(dev.nodes[0]?.docker ?? '') }
  try {
    await start(process.execPath, [join(TOP, 'scripts/bundle-dvdcli.ts')])
    await start(dvdcli, ['mount', ...named, '--volumeopts=size=256MiB'], { env })
    const programs = [
      [dvdcli, 'mount', ...named],
      [process.execPath, '-e', '0'],
    ]
    const task = JSON.stringify({ rounds: ROUNDS, programs })
    const { stdout } = await start(process.execPath, [join(import.meta.dirname, 'time-programs.ts'), task], { env })
    await start(dvdcli, ['unmount', ...named], { env })
    const [ours = [], reference = []] = JSON.parse(stdout) as number[][]
    return [
      {
        name: 'dvdcli mount, whole process, p50',
        ours: percentile(ours, 50),
        reference: percentile(reference, 50),
        unit: 'ms',
        against: 'node -e 0',
        note: 'the volume is mounted already',
      },
    ]
  } finally {
    await dev.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
