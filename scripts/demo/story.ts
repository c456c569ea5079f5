import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../test/support/until.ts'
import { execute } from './process.ts'
import { LEASE_SECONDS, type Machine, POOL, POOL_MIB, type Stage } from './stage.ts'
import { expect, say, sayLines, step } from './telling.ts'

const SIZE = '10GiB'

interface PoolShown {
  readonly usage: { limitMiB: number; usedMiB: number; heldMiB: number; freeMiB: number }
}
interface VolumeShown {
  readonly id: string
  readonly object: string
  readonly sizeMiB: number
  readonly state: string
  readonly attachments: { node: string; state: string; path?: string }[]
}

/** The story of the seed document's slides on capacity, with real disks and, where dockerd runs, real containers. */
export async function tell(stage: Stage): Promise<void> {
  const [a, b] = stage.machines as [Machine, Machine]
  await onePool(stage)
  await holdMost(stage)
  await makeVolumes(stage)
  await moveVolume(stage, a, b)
  await loseNode(stage, a, b)
  await countAgain(stage)
}

async function onePool(stage: Stage): Promise<void> {
  step(`One pool of ${POOL_MIB.toLocaleString('en-US')} MiB (the seed's 1,000 TB), reached by two nodes`)
  await stage.show(
    ...['pool', 'create', POOL, '--driver', 'loop', '--setting', `directory=${stage.poolDirectory}`],
    ...['--capacity', `${POOL_MIB}MiB`, '--mark-on', 'node-1'],
  )
  await until(async () => (await stage.json<{ nodes: number }>('pool', 'show', POOL)).nodes === 2, {
    what: 'both nodes to reach the pool',
    deadlineMs: 20_000,
  })
  await freeOnEachNode(stage)
  say('Two nodes, one pool, counted once: not 2,000 TB, and not 500 TB for each.')
}

/** What each node could offer: the same figure, since there is one ledger behind both. */
async function freeOnEachNode(stage: Stage): Promise<number> {
  const { usage } = await stage.json<PoolShown>('pool', 'show', POOL)
  for (const { name } of stage.machines) {
    const { reach } = await stage.json<{ reach: string[] }>('node', 'show', name)
    const free = reach.length > 0 ? usage.freeMiB : 0
    say(`${name} can offer ${free.toLocaleString('en-US').padStart(13)} MiB of ${POOL}`)
  }
  return usage.freeMiB
}

async function holdMost(stage: Stage): Promise<void> {
  step('A framework of role ads reserves 750,000,000 MiB: every node can offer less at once')
  await stage.show('hold', 'create', '--pool', POOL, '--role', 'ads', '--size', '750000000MiB')
  const free = await freeOnEachNode(stage)
  expect(free === POOL_MIB - 750_000_000, 'the hold is counted once')
  step('A second one does not fit, and the answer says why and what would fit')
  const refused = await stage.show('hold', 'create', '--pool', POOL, '--role', 'web', '--size', '750000000MiB')
  expect(refused.code === 3, 'the second hold is refused with exit code 3')
  await stage.show('explain', '--size', '750000000MiB', '--role', 'web')
}

async function makeVolumes(stage: Stage): Promise<void> {
  step(`Volumes of up to ${SIZE} are made and formatted before anybody needs them`)
  await stage.show('volume', 'create', 'db', '--size', SIZE)
  await stage.show('volume', 'create', 'logs', '--size', '2GiB', '--fs', 'xfs')
  await stage.show('volume', 'list')
}

async function moveVolume(stage: Stage, a: Machine, b: Machine): Promise<void> {
  step(`A ${a.docker === undefined ? 'process' : 'container'} writes on ${a.name}, ends, and its data is on ${b.name}`)
  await use(stage, a, 'db', 'echo "written on node-1" > /data/where; sync')
  const found = await use(stage, b, 'db', 'cat /data/where')
  expect(found === 'written on node-1', 'the data has followed')
}

/** Runs a shell command with a volume at /data: in a container, or where dockerd does not run in a plain process. */
async function use(stage: Stage, machine: Machine, volume: string, command: string): Promise<string> {
  if (machine.docker !== undefined) {
    process.stdout.write(`   ${machine.name}$ docker run --rm -v ${volume}:/data busybox sh -c '${command}'\n`)
    const printed = await machine.docker.ok(
      ...['run', '--rm', '--network=none', '--volume-driver=holdfast', '-v', `${volume}:/data`, 'busybox'],
      ...['sh', '-c', command],
    )
    sayLines(printed)
    return printed
  }
  const path = await attach(stage, machine, volume, 'demo')
  process.stdout.write(`   ${machine.name}$ sh -c '${command.replaceAll('/data', path)}'\n`)
  const { stdout } = await execute('sh', ['-c', command.replaceAll('/data', path)])
  sayLines(stdout)
  await stage.show('volume', 'detach', volume, '--node', machine.name, '--user', 'demo')
  return stdout
}

async function attach(stage: Stage, machine: Machine, volume: string, user: string): Promise<string> {
  await stage.show('volume', 'attach', volume, '--node', machine.name, '--user', user)
  const shown = await stage.json<VolumeShown>('volume', 'show', volume)
  return shown.attachments.find((each) => each.node === machine.name)?.path ?? ''
}

async function loseNode(stage: Stage, a: Machine, b: Machine): Promise<void> {
  step(`${b.name} dies while it uses the volume: it stays held until it is proven gone`)
  const inUse = await startUser(stage, b)
  process.stdout.write(`   $ kill -9 ${b.daemon.pid}   # the node daemon of ${b.name}\n`)
  await b.daemon.end('SIGKILL')
  const early = await stage.show('volume', 'attach', 'db', '--node', a.name, '--user', 'early', '--no-wait')
  expect(early.code === 5, 'the volume is not given away while its node may still write')
  say(`Its lease runs out after ${LEASE_SECONDS} seconds. The task still runs, so no proof can be had:`)
  await until(async () => (await stage.json<{ state: string }>('node', 'show', b.name)).state === 'lost', {
    what: 'the lease to run out',
    deadlineMs: 30_000,
  })
  await stage.show('attachment', 'list')
  const late = await stage.show('volume', 'attach', 'db', '--node', a.name, '--user', 'late', '--no-wait')
  expect(late.code === 5, 'a lost node still holds what it may still be writing to')
  await inUse.kill()
  say('The task ends, too. Now the loop driver on the other node reads what is really attached, and lets go of it:')
  await until(async () => (await stage.json<VolumeShown>('volume', 'show', 'db')).attachments.length === 0, {
    what: 'the proof that the volume is free',
    deadlineMs: 60_000,
  })
  await stage.show('operation', 'list', '--kind', 'fence')
  const found = await use(stage, a, 'db', 'cat /data/where /data/last')
  expect(found.includes('last words'), 'nothing is lost')
}

/** Somebody who uses the volume and does not end by himself. */
async function startUser(stage: Stage, machine: Machine): Promise<{ kill(): Promise<void> }> {
  const script = 'echo "last words of node-2" > /data/last; sync; exec sleep 600'
  if (machine.docker !== undefined) {
    const { docker } = machine
    process.stdout.write(`   ${machine.name}$ docker run -d --name task -v db:/data busybox sh -c '${script}'\n`)
    await docker.ok(
      ...['run', '-d', '--name', 'task', '--network=none', '--volume-driver=holdfast', '-v', 'db:/data', 'busybox'],
      ...['sh', '-c', script],
    )
    return { kill: async () => void (await docker.ok('kill', 'task')) }
  }
  const path = await attach(stage, machine, 'db', 'task')
  const { spawn } = await import('node:child_process')
  const child = spawn('sh', ['-c', script.replaceAll('/data', path)], { cwd: path, stdio: 'ignore' })
  await until(() => readdirSync(path).includes('last'), { what: 'the task to write' })
  return {
    kill: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    },
  }
}

async function countAgain(stage: Stage): Promise<void> {
  step('What was counted, and what is on the disk')
  const { usage } = await stage.json<PoolShown>('pool', 'show', POOL)
  const volumes = await stage.json<VolumeShown[]>('volume', 'list')
  let counted = 0
  for (const volume of volumes) {
    const file = statSync(join(stage.poolDirectory, `${volume.object}.img`))
    const real = file.size / 2 ** 20
    const blocks = ((file.blocks * 512) / 2 ** 20).toFixed(0)
    counted += volume.sizeMiB
    say(`${volume.object}.img  counted ${volume.sizeMiB} MiB, size ${real} MiB, blocks in use ${blocks} MiB`)
    expect(real === volume.sizeMiB, 'every object is as large as it is counted')
  }
  say(`volumes ${counted} MiB + held ${usage.heldMiB} MiB + free ${usage.freeMiB} MiB = ${usage.limitMiB} MiB`)
  expect(counted + usage.heldMiB + usage.freeMiB === POOL_MIB, 'the pool adds up')
  await stage.show('status')
}
