/** After the storm: what was asked for comes to an end, what was written is there, and everything is given back. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stateOf } from '../../e2e/support/node-children.ts'
import { loopsUnder, mountsUnder } from '../../e2e/support/node-cleanup.ts'
import type { AgentDouble } from '../../support/mesos/cluster.ts'
import { isTerminalOperation } from '../../support/mesos/types.ts'
import { until } from '../../support/until.ts'
import { checkLedger, durableLines, everything, listPools, listVolumes, type VolumeView } from './checks.ts'
import { deleteOne } from './deletes.ts'
import type { Storm } from './storm.ts'
import type { MesosStatus } from './system.ts'

const MINUTE_MS = 60_000

/**
 * Every operation has ended and is acknowledged, every task has ended, every PUBLISH is answered. Statuses that were
 * lost with a master are said again after ten seconds, as by Mesos itself.
 */
export async function answersComeIn(storm: Storm): Promise<void> {
  await until(
    async () => {
      await storm.tend()
      await killTasks(storm)
      const { mesos } = storm.system
      const open = [...openAtFrameworks(storm), ...mesos.agents.flatMap(openAtAgent), ...(await openAtProviders(storm))]
      if (open.length > 0) throw new Error(open.slice(0, 20).join('\n'))
      return true
    },
    { what: 'all operations and tasks to end', deadlineMs: 2 * MINUTE_MS, everyMs: 100 },
  )
}

async function killTasks({ book, frameworks }: Storm): Promise<void> {
  for (const { id, framework } of book.openTasks) await frameworks.find(({ name }) => name === framework)?.kill(id)
}

function openAtFrameworks({ book, frameworks }: Storm): string[] {
  return [
    ...book.openOperations.map(({ id, kind, framework }) => `${kind} ${id} of ${framework}`),
    ...book.openTasks.map(({ id, framework, state }) => `${id} of ${framework} (${state ?? 'no word'})`),
    ...frameworks.filter(({ isConnected }) => !isConnected).map(({ name }) => `${name} is not connected`),
  ]
}

/** What has ended may stay: an agent hears of it once more when an acknowledgement and an UPDATE_STATE cross. */
function openAtAgent({ hostname, state }: AgentDouble): string[] {
  const { unanswered } = state.manager
  const pending = [...state.operations.values()].filter(
    ({ latest_status }) => !isTerminalOperation(latest_status.state),
  )
  return [
    ...(unanswered > 0 ? [`${hostname}: ${unanswered} PUBLISH without an answer`] : []),
    ...pending.map(({ info }) => `${hostname}: ${info.type} ${info.id?.value ?? 'of the operator'} is pending`),
  ]
}

async function openAtProviders({ system }: Storm): Promise<string[]> {
  const { providers } = await system.get<MesosStatus>('/v1/mesos')
  return providers.flatMap(({ node, pool, connected, report }) => {
    if (connected && report?.operations === 0) return []
    return [`${node} ${pool}: ${connected ? JSON.stringify(report) : 'not connected'}`]
  })
}

/** No task, no claim: within seconds every volume is idle. */
export async function volumesAreIdle(storm: Storm): Promise<void> {
  await until(
    async () => {
      await storm.tend()
      const held = await everything<{ volume: string; node: string; state: string }>(storm.system, '/v1/attachments')
      if (held.length > 0) throw new Error(held.map((each) => JSON.stringify(each)).join('\n'))
      return true
    },
    { what: 'all volumes to be released', deadlineMs: MINUTE_MS, everyMs: 200 },
  )
  await until(
    async () => {
      const { operations } = await storm.system.get<{ operations: { items: unknown[] } }>('/v1/status')
      if (operations.items.length > 0) throw new Error(JSON.stringify(operations.items))
      return true
    },
    { what: 'the work of the nodes to end', deadlineMs: MINUTE_MS, everyMs: 200 },
  )
}

/** What tasks made durable is in the volumes' own files, read without Holdfast. */
export async function linesAreThere(storm: Storm): Promise<{ volumes: number; lines: number }> {
  const { system, taskDirectory } = storm
  const volumes = (await listVolumes(system)).filter(({ state }) => state === 'available')
  let lines = 0
  for (const volume of volumes) {
    const written = durableLines(taskDirectory, volume.id)
    const found = new Set(written.length === 0 ? [] : readLines(storm, volume))
    const lost = written.filter((line) => !found.has(line))
    if (lost.length > 0) storm.book.violations.push(`volume ${volume.id} has lost ${lost.length} lines: ${lost[0]}`)
    lines += written.length
  }
  await checkLedger(system, storm.book)
  return { volumes: volumes.length, lines }
}

function readLines({ system }: Storm, { object, pool }: VolumeView): string[] {
  const image = join(system.poolDirectory(pool.split('~').at(-1) ?? ''), `${object}.img`)
  const target = join(system.directory, 'look')
  mkdirSync(target, { recursive: true })
  execFileSync('mount', ['-o', 'loop,ro,noload', image, target])
  try {
    const file = join(target, 'lines')
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  } finally {
    execFileSync('umount', [target])
  }
}

/** Volumes are deleted, and every figure is back where it was. */
export async function everythingIsGivenBack(storm: Storm): Promise<void> {
  const { system, book } = storm
  await until(
    async () => {
      await storm.tend()
      const left = await listVolumes(system)
      for (const { id, state } of left) {
        if (state === 'available' || state === 'error') await deleteOne(id, book, system)
      }
      if (left.length > 0) throw new Error(left.map(({ id, name, state }) => `${id} ${name}: ${state}`).join('\n'))
      return true
    },
    { what: 'all volumes to be deleted', deadlineMs: MINUTE_MS, everyMs: 200 },
  )
  for (const { name, usage } of await listPools(system)) {
    const { usedMiB, heldMiB, iopsUsed } = usage
    if (usedMiB + heldMiB + iopsUsed !== 0) book.violations.push(`${name} is not empty: ${JSON.stringify(usage)}`)
  }
}

/** Providers withdraw in good order, daemons end, nothing is left on the machine. */
export async function daemonsEnd(storm: Storm): Promise<void> {
  const { system, book } = storm
  for (const framework of storm.frameworks) framework.close()
  const providers = system.machines.map(({ provider }) => provider)
  const codes = await Promise.all(providers.map((provider) => provider.stop(MINUTE_MS)))
  const daemons = [...system.machines.map(({ node }) => node), system.controller]
  for (const daemon of daemons) codes.push(await daemon.stop(20_000))
  const names = [...providers, ...daemons].map(({ name }) => name)
  for (const [index, code] of codes.entries()) {
    if (code !== 0) book.violations.push(`${names[index]} ended with ${code ?? 'SIGKILL, after it was asked to end'}`)
  }
}

export async function nothingIsLeft({ system, book }: Storm, installation: string): Promise<void> {
  const { directory, machines } = system
  const roots = machines.map(({ mountRoot }) => mountRoot)
  const mounts = () => mountsUnder(directory).filter(({ target }) => !roots.includes(target))
  const loops = () => loopsUnder(directory, `hf-${installation.slice(0, 8)}-`)
  const processes = () => processesOf(directory)
  const left = () => [
    ...mounts().map(({ target }) => `mount ${target}`),
    ...loops().map(({ device, file }) => `loop device ${device} of ${file}`),
    ...processes().map(({ pid, line }) => `process ${pid}: ${line}`),
  ]
  await until(() => left().length === 0, { what: 'nothing to be left', deadlineMs: 10_000 }).catch(() => {
    book.violations.push(...left())
  })
}

/** Those of the programs, and of what they have started: the folder is in their environment. */
function processesOf(directory: string): { pid: number; line: string }[] {
  return readdirSync('/proc')
    .filter(
      (name) => /^\d+$/.test(name) && Number(name) !== process.pid && read(`/proc/${name}/environ`).includes(directory),
    )
    .map((name) => ({ pid: Number(name), line: read(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim() }))
    .filter(({ pid }) => stateOf(pid) !== '')
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // it ended meanwhile
  }
}
