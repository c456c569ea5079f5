import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runDev } from '../src/cli/dev.ts'
import { createLog } from '../src/controller/http/log.ts'
import { createPrograms, type Programs } from '../src/programs/run.ts'
import { type Cycler, csiCycler } from './csi-cycle.ts'
import { type Line, median, percentile } from './figures.ts'

const ROUNDS = 4
/** Cycles of each worker in a round. */
const CYCLES = 4
const WORKERS = 8
const SIZE_MIB = 64
const RUN_MS = 120_000

/** The programs of a volume's life as Holdfast runs them, with the same arguments; without a word of it noted. */
const SHELL_CYCLE = `
  truncate -s ${SIZE_MIB}M "$IMAGE"
  device=$(losetup --find --show --direct-io=on "$IMAGE")
  mkfs.ext4 -q -m 0 -O metadata_csum_seed -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 "$device"
  losetup --detach "$device"
  device=$(losetup --find --show --direct-io=on "$IMAGE")
  mkdir "$DIR/mount" "$DIR/target"
  mount "$device" "$DIR/mount"
  mount --bind "$DIR/mount" "$DIR/target"
  umount "$DIR/target"
  umount "$DIR/mount"
  losetup --detach "$device"
  rmdir "$DIR/mount" "$DIR/target"
  rm "$IMAGE"`
/** With what Holdfast does besides so that nothing is ever lost or overwritten: it looks before it writes, and reads back. */
const CAREFUL_CYCLE = SHELL_CYCLE.replace('mkfs.ext4', 'blkid -p "$device" > /dev/null || true\n  mkfs.ext4').replace(
  'losetup --detach',
  'debugfs -w -R "rmdir lost+found" "$device" 2> /dev/null\n  blkid -p "$device" > /dev/null\n  losetup --detach',
)

interface Rates {
  /** Cycles a second, by round. */
  readonly one: number[]
  readonly many: number[]
}

/** A volume's whole life through the CSI plugin's socket, against the same programs run by a shell. */
export async function benchCsi(): Promise<Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'hfb-'))
  const dev = await runDev({ dir: directory, nodes: 1, poolSizeMiB: 100_000, docker: 'off', log: createLog('error') })
  const programs = createPrograms()
  const cycler = csiCycler(dev.nodes[0]?.csi as string, directory, SIZE_MIB)
  try {
    const shell = (script: string) => (worker: number) => runShell(programs, directory, worker, script)
    const ways = { ours: ourWorker(cycler), shell: shell(SHELL_CYCLE), careful: shell(CAREFUL_CYCLE) }
    const rates: Record<keyof typeof ways, Rates> = {
      ours: { one: [], many: [] },
      shell: { one: [], many: [] },
      careful: { one: [], many: [] },
    }
    for (let round = -1; round < ROUNDS; round += 1) {
      for (const [name, work] of Object.entries(ways) as [keyof typeof ways, Work][]) {
        const [one, many] = [await rate(1, work), await rate(WORKERS, work)]
        if (round < 0) continue
        rates[name].one.push(one)
        rates[name].many.push(many)
      }
      if (round < 0) cycler.forget()
    }
    return lines(rates, cycler)
  } finally {
    cycler.close()
    await dev.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Does a worker's cycles of a round. */
type Work = (worker: number) => Promise<unknown>

async function rate(workers: number, work: Work): Promise<number> {
  const start = performance.now()
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
  return (workers * CYCLES * 1000) / (performance.now() - start)
}

function ourWorker(cycler: Cycler): Work {
  return async (worker) => {
    for (let cycle = 0; cycle < CYCLES; cycle += 1) await cycler.cycle(worker)
  }
}

/** One shell for all of a worker's cycles: none of its start is counted against it. */
function runShell(programs: Programs, directory: string, worker: number, script: string): Promise<unknown> {
  const own = join(directory, `shell-${worker}`)
  mkdirSync(own, { recursive: true })
  const image = join(directory, 'pool', `shell-${worker}.img`)
  const loop = `i=0; while [ $i -lt ${CYCLES} ]; do i=$((i + 1)); ${script}\ndone`
  const signal = AbortSignal.timeout(RUN_MS)
  return programs.run('sh', ['-ec', `IMAGE=${image} DIR=${own}; ${loop}`], { signal, deadlineMs: RUN_MS })
}

function lines(rates: Record<'ours' | 'shell' | 'careful', Rates>, cycler: Cycler): Line[] {
  const msOf = (perSecond: number[]) => 1000 / median(perSecond)
  const scaling = ({ one, many }: Rates) => median(many) / median(one)
  const { ours, shell, careful } = rates
  const bare = 'a shell: mkfs, losetup, mount, umount'
  const all = `${bare}, with blkid before and after, debugfs`
  const line = (name: string, mine: number, reference: number, unit: string, against: string): Line => ({
    ...{ name, ours: mine, reference, unit, against },
  })
  return [
    line('CSI cycle, 1 worker', msOf(ours.one), msOf(shell.one), 'ms', bare),
    line('CSI cycle, 1 worker, same looks', msOf(ours.one), msOf(careful.one), 'ms', all),
    line(`CSI cycles, ${WORKERS} workers`, median(ours.many), median(shell.many), '/s', bare),
    line(`CSI cycles, ${WORKERS} workers, same looks`, median(ours.many), median(careful.many), '/s', all),
    line(`CSI cycles, ${WORKERS} workers to 1`, scaling(ours), scaling(shell), 'x', 'the same of the shell'),
    ...[...cycler.samples].map(([name, values]) => ({
      name: `${name}, p50`,
      ours: percentile(values, 50),
      reference: undefined,
      unit: 'ms',
      against: '',
      note: `p95 ${percentile(values, 95).toFixed(1)} ms; all workers`,
    })),
  ]
}
