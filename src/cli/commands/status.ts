import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { formatCount, formatMiB, formatSize } from '../../model/units.ts'
import { bar, share } from '../bars.ts'
import { type Cli, run } from '../cli.ts'
import { ageOf, formatAge } from '../format.ts'
import { type Column, printable, table } from '../table.ts'
import { colour, say, tableStyle } from '../terminal.ts'
import type { DeficitView, NodeView, OperationView, PoolUsage, PoolView, StatusView, StuckView } from '../views.ts'
import { seconds } from './options.ts'

const WATCH_S = 2
const BAR = 30
/** Lines of each list on the screen. */
const SHOWN = 12

export function defineStatus(noun: Command): void {
  noun
    .option('-w, --watch', 'show it again and again')
    .option('--every <time>', 'time between two looks, with --watch', seconds('--every'), WATCH_S)
    .action(
      run<{ watch?: boolean; every: number }>((cli, options) =>
        options.watch === true ? watch(cli, options.every) : once(cli),
      ),
    )
}

async function once(cli: Cli): Promise<void> {
  const [status, pools] = await look(cli)
  if (cli.out.format === 'table') return say(screen(status, pools))
  await cli.out.text(status, '')
}

async function watch(cli: Cli, every: number): Promise<void> {
  for (;;) {
    const [status, pools] = await look(cli)
    if (cli.out.format !== 'table') say(`${JSON.stringify(status)}\n`)
    else say(process.stdout.isTTY ? `\x1b[H\x1b[J${screen(status, pools)}` : `${screen(status, pools)}\n`)
    await delay(Math.max(1, every) * 1000)
  }
}

function look(cli: Cli): Promise<[StatusView, PoolView[]]> {
  return Promise.all([cli.client.get<StatusView>('/v1/status'), cli.client.list<PoolView>('/v1/pools')])
}

function screen(status: StatusView, pools: readonly PoolView[]): string {
  const { installation, revision, version, time, nodes, operations } = status
  const counts = `${nodes.up} up, ${nodes.lost} lost, ${nodes.joined} never seen`
  const work = `${operations.running} running, ${operations.pending} waiting, ${operations.overdue} overdue`
  return [
    `holdfast ${version}, installation ${installation.slice(0, 8)}, revision ${formatCount(revision)}, ${time}\n`,
    alarms(status, pools),
    part('POOLS', poolLines(pools)),
    part(`NODES  ${counts}`, rows(nodes.items, NODE_COLUMNS)),
    part(
      `OPERATIONS  ${work}, ${operations.failedRecently} failed in the last hour`,
      rows(operations.items, OPERATION_COLUMNS),
    ),
    part(status.stuck.length === 0 ? 'STUCK  nothing' : colour('STUCK', 'red'), rows(status.stuck, STUCK_COLUMNS)),
  ].join('')
}

function part(title: string, lines: string): string {
  return `\n${colour(title, 'bold')}\n${lines}`
}

function rows<T>(items: readonly T[], columns: readonly Column<T>[]): string {
  if (items.length === 0) return ''
  const more = items.length > SHOWN ? `… and ${items.length - SHOWN} more\n` : ''
  return table(items.slice(0, SHOWN), columns, tableStyle(true)) + more
}

function alarms(status: StatusView, pools: readonly PoolView[]): string {
  const lines: string[] = []
  const { suspended } = status.clock
  if (suspended !== undefined) {
    lines.push(
      `the clock jumped from ${suspended.from} to ${suspended.to}; nothing expires until: holdfast clock confirm`,
    )
  }
  const { mesosGuard } = status
  if (mesosGuard !== undefined) {
    const why = mesosGuard.why.join('; ')
    lines.push(`the guard of Mesos is ${mesosGuard.state} (${why}); see: holdfast mesos doctor`)
  }
  for (const each of status.deficits) lines.push(deficit(each, pools))
  for (const pool of pools) {
    if (pool.lowOnStorage) lines.push(`pool ${pool.name}: under 5 % of its storage is free, whatever is counted`)
    if (pool.thin) lines.push(`pool ${pool.name} is thin: more is declared than its storage holds`)
    if (!pool.marked) lines.push(`pool ${pool.name} has no marker: holdfast pool mark ${pool.name} --node NODE`)
  }
  return lines.map((line) => `${colour('!', 'red')} ${printable(line)}\n`).join('')
}

/** Accounts are named `pool/ID/mib`, `role/NAME/iops`, … */
function deficit({ id, used, limit, since }: DeficitView, pools: readonly PoolView[]): string {
  const [kind = '', ...rest] = id.split('/')
  const unit = rest.pop() ?? ''
  const subject = rest.join('/')
  const name = pools.find((pool) => pool.id === subject)?.name ?? subject
  const amount = (value: number) => (unit === 'mib' ? formatMiB(value) : `${formatCount(value)} ${unit}`)
  return `${kind} ${name} in deficit for ${ageOf(since)}: ${amount(used)} of ${amount(limit)}; only what lowers use is accepted`
}

function poolLines(pools: readonly PoolView[]): string {
  if (pools.length === 0) return 'none yet: holdfast pool create\n'
  const width = Math.max(...pools.map((pool) => pool.name.length))
  return pools
    .slice(0, SHOWN)
    .map(({ name, usage }) => {
      const iops = usage.iopsLimit === null ? '' : `\n${' '.repeat(width)}  ${iopsLine(usage)}`
      return `${printable(name.padEnd(width))}  ${sizeLine(usage)}${iops}\n`
    })
    .join('')
}

function sizeLine({ usedMiB, heldMiB, freeMiB, limitMiB }: PoolUsage): string {
  return `${drawn(usedMiB, heldMiB, limitMiB)} ${formatSize(usedMiB)} used, ${formatSize(heldMiB)} held, ${formatSize(freeMiB)} free of ${formatSize(limitMiB)}`
}

function iopsLine({ iopsUsed, iopsHeld, iopsFree, iopsLimit }: PoolUsage): string {
  const limit = iopsLimit ?? 0
  return `${drawn(iopsUsed, iopsHeld, limit)} ${formatCount(iopsUsed)} used, ${formatCount(iopsHeld)} held, ${formatCount(iopsFree ?? 0)} free of ${formatCount(limit)} IOPS`
}

function drawn(used: number, held: number, limit: number): string {
  const parts = [[share(used, limit), '#'] as const, [share(held, limit), '='] as const]
  return bar(parts, BAR)
}

const NODE_COLUMNS: readonly Column<NodeView>[] = [
  { title: 'NAME', value: (node) => node.name },
  { title: 'STATE', value: (node) => node.state },
  { title: 'NEW WORK', value: (node) => (node.cordoned ? 'cordoned' : 'taken') },
  { title: 'ATTACHED', value: (node) => `${node.attachments}/${node.attachmentLimit}`, right: true },
  {
    title: 'LOST FOR',
    value: (node) => (node.lostAt === undefined ? undefined : ageOf(String(node.lostAt))),
    right: true,
  },
]

const OPERATION_COLUMNS: readonly Column<OperationView>[] = [
  { title: 'ID', value: (each) => each.id },
  { title: 'WHAT', value: (each) => `${each.kind} ${each.subjectName ?? each.subject.id}` },
  { title: 'STATE', value: (each) => (each.overdue ? 'overdue' : each.state) },
  {
    title: 'DONE',
    value: (each) => (each.progress === undefined ? undefined : `${Math.floor(each.progress * 100)}%`),
    right: true,
  },
  { title: 'NODE', value: (each) => each.node },
  { title: 'FOR', value: (each) => ageOf(each.createdAt), right: true },
  { title: 'WAITS FOR', value: (each) => each.waitingFor },
]

const STUCK_COLUMNS: readonly Column<StuckView>[] = [
  { title: 'WHAT', value: (each) => `${each.kind} ${each.name ?? each.id}` },
  { title: 'STATE', value: (each) => each.state },
  { title: 'NODE', value: (each) => each.node },
  {
    title: 'FOR',
    value: (each) => (each.sinceSeconds === undefined ? undefined : formatAge(each.sinceSeconds)),
    right: true,
  },
  { title: 'WHY', value: (each) => each.reason },
]
