import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runDev } from '../src/cli/dev.ts'
import { createLog } from '../src/controller/http/log.ts'
import { HttpLink } from '../src/node/http-link.ts'
import { createPrograms, type Programs } from '../src/programs/run.ts'
import { type Line, percentile } from './figures.ts'

const ROUNDS = 40
const SIZE_MIB = 1024
const RUN_MS = 60_000

/** Like what Holdfast does for a mount: attach, look, mount, and two durable notes. */
const SHELL_MOUNT = `
  device=$(losetup --find --show --direct-io=on "$IMAGE")
  blkid -p "$device" > /dev/null
  mount "$device" "$TARGET"
  printf 'claimed\\n' | dd of="$NOTES" oflag=append conv=notrunc,fsync status=none
  printf 'mounted\\n' | dd of="$NOTES" oflag=append conv=notrunc,fsync status=none`
const SHELL_UNMOUNT = `
  device=$(findmnt --noheadings --output SOURCE "$TARGET")
  umount "$TARGET"
  losetup --detach "$device"
  printf 'unmounted\\n' | dd of="$NOTES" oflag=append conv=notrunc,fsync status=none
  printf 'released\\n' | dd of="$NOTES" oflag=append conv=notrunc,fsync status=none`
const BARE_MOUNT = 'mount "$(losetup --find --show "$IMAGE")" "$TARGET"'

interface Samples {
  readonly mount: number[]
  readonly unmount: number[]
  readonly shellMount: number[]
  readonly shellUnmount: number[]
  readonly bare: number[]
}

/** A ready volume mounted and unmounted through the Docker plugin's socket, against a shell that does the like. */
export async function benchMounts(): Promise<Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'hfb-'))
  const dev = await runDev({ dir: directory, nodes: 1, poolSizeMiB: 100_000, docker: 'bench', log: createLog('error') })
  const programs = createPrograms()
  try {
    const link = new HttpLink({ api: dev.api, token: dev.token })
    await link.rest('POST', '/v1/volumes?wait=60', { name: 'bench', sizeMiB: SIZE_MIB })
    await link.close()
    const shell = await Shell.prepare(programs, directory)
    const samples = await measure(dev.nodes[0]?.docker as string, shell)
    return lines(samples)
  } finally {
    await dev.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measure(socket: string, shell: Shell): Promise<Samples> {
  const agent = new Agent({ keepAlive: true })
  const plugin = (call: string, body: object) => post(agent, socket, `/VolumeDriver.${call}`, body)
  const samples: Samples = { mount: [], unmount: [], shellMount: [], shellUnmount: [], bare: [] }
  for (let round = -3; round < ROUNDS; round += 1) {
    const ID = `round-${round}`
    const kept = round >= 0
    await timed(kept, samples.mount, () => plugin('Mount', { Name: 'bench', ID }))
    await timed(kept, samples.unmount, () => plugin('Unmount', { Name: 'bench', ID }))
    await timed(kept, samples.shellMount, () => shell.run(SHELL_MOUNT))
    await timed(kept, samples.shellUnmount, () => shell.run(SHELL_UNMOUNT))
    await timed(kept, samples.bare, () => shell.run(BARE_MOUNT))
    await shell.run(SHELL_UNMOUNT)
  }
  agent.destroy()
  return samples
}

async function timed(kept: boolean, into: number[], work: () => Promise<unknown>): Promise<void> {
  const start = performance.now()
  await work()
  if (kept) into.push(performance.now() - start)
}

/** The reference's image, mount point and notes, and a shell to work on them. */
class Shell {
  readonly #programs: Programs
  readonly #script: string

  private constructor(programs: Programs, names: string) {
    this.#programs = programs
    this.#script = names
  }

  static async prepare(programs: Programs, directory: string): Promise<Shell> {
    const image = join(directory, 'pool', 'reference.img')
    const target = join(directory, 'reference')
    mkdirSync(target)
    const shell = new Shell(programs, `IMAGE=${image} TARGET=${target} NOTES=${join(directory, 'notes')}`)
    await shell.run(`truncate -s ${SIZE_MIB}M "$IMAGE"; mkfs.ext4 -q "$IMAGE"; : > "$NOTES"`)
    return shell
  }

  run(commands: string): Promise<unknown> {
    const signal = AbortSignal.timeout(RUN_MS)
    return this.#programs.run('sh', ['-ec', `${this.#script}\n${commands}`], { signal, deadlineMs: RUN_MS })
  }
}

function post(agent: Agent, socketPath: string, path: string, body: object): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const call = request({ agent, socketPath, path, method: 'POST' }, (answer) => {
    let text = ''
    answer.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    answer.on('end', () => {
      const { Err } = JSON.parse(text) as { Err: string }
      if (Err === '') resolve()
      else reject(new Error(`${path}: ${Err}`))
    })
  })
  call.on('error', reject).end(JSON.stringify(body))
  return promise
}

function lines(samples: Samples): Line[] {
  const p50 = (values: number[]) => percentile(values, 50)
  const against = 'a shell: losetup, blkid -p, mount, two fsynced appends'
  return [
    { name: 'Docker Mount, p50', ours: p50(samples.mount), reference: p50(samples.shellMount), unit: 'ms', against },
    {
      name: 'Docker Unmount, p50',
      ours: p50(samples.unmount),
      reference: p50(samples.shellUnmount),
      unit: 'ms',
      against: 'a shell: umount, losetup -d, two fsynced appends',
    },
    {
      name: 'Docker Mount, p50, bare',
      ours: p50(samples.mount),
      reference: p50(samples.bare),
      unit: 'ms',
      against: 'a shell: losetup and mount alone',
    },
  ]
}
