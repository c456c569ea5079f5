import type { Command } from 'commander'
import { formatCount, formatSize } from '../../model/units.ts'
import { run } from '../cli.ts'
import { ageOf } from '../format.ts'
import { type Column, printable, table } from '../table.ts'
import { colour, say, tableStyle } from '../terminal.ts'
import type { MesosView, ProviderView } from '../views.ts'

/** Lines of a list on the screen. */
const SHOWN = 40
const HINTS = 5

/** Adds `status` to the noun `mesos`. */
export function defineMesosStatus(noun: Command): void {
  noun
    .command('status')
    .description('the guard, the masters, and each agent with its providers: what they advertise and what is under way')
    .action(
      run(async (cli) => {
        const view = await cli.client.get<MesosView>('/v1/mesos')
        if (cli.out.format === 'table') say(screen(view))
        else await cli.out.text(view, '')
      }),
    )
}

function screen(view: MesosView): string {
  const { masters, pools, providers, providerCount, hazards } = view
  const more = providerCount > SHOWN ? `… and ${providerCount - SHOWN} more: -o json\n` : ''
  return [
    guardLine(view),
    doctorLine(hazards.filter(({ severity }) => severity !== 'note').length),
    part('MASTERS', masters.length === 0 ? 'none are watched: set controller.mesos.masters\n' : rows(masters, MASTERS)),
    part(
      'POOLS',
      pools.length === 0 ? 'none is shown: holdfast pool set POOL --mesos-roles ROLES\n' : rows(pools, POOLS),
    ),
    part(`PROVIDERS${clusterWords(view)}`, rows(withMaster(view).slice(0, SHOWN), PROVIDERS) + more),
    troubles(providers),
    hints(view),
  ].join('')
}

function guardLine({ guard, principal }: MesosView): string {
  const since = guard.at === undefined ? '' : ` for ${ageOf(guard.at)}`
  const verdict = colour(guard.state, guard.state === 'verified' ? 'green' : 'red')
  const why = guard.why.map((each) => `  ${printable(each)}\n`).join('')
  return `guard ${verdict}${since}, principal ${printable(principal)}\n${why}`
}

function doctorLine(count: number): string {
  if (count === 0) return ''
  const things = count === 1 ? 'one thing is wrong or dangerous' : `${count} things are wrong or dangerous`
  return `${colour('!', 'red')} ${things}: holdfast mesos doctor\n`
}

function part(title: string, lines: string): string {
  return `\n${colour(title, 'bold')}\n${lines}`
}

function rows<T>(items: readonly T[], columns: readonly Column<T>[]): string {
  return items.length === 0 ? '' : table(items, columns, tableStyle(true))
}

function clusterWords({ cluster }: MesosView): string {
  if (cluster === undefined) return ''
  const { agentCount, frameworks, tasks } = cluster
  return `  ${formatCount(agentCount)} agents, ${formatCount(frameworks)} frameworks, ${formatCount(tasks)} tasks`
}

interface Row extends ProviderView {
  readonly hostname?: string
  readonly isActive?: boolean
  readonly offeredMiB?: number
}

/** Each provider with what the master says of it and its agent. */
function withMaster({ providers, cluster }: MesosView): Row[] {
  return providers.map((each) => {
    const agent = cluster?.agents.find(({ id }) => id === each.agentId)
    const known = agent?.providers.find(({ id }) => id === each.providerId)
    return {
      ...each,
      ...(agent === undefined ? {} : { hostname: agent.hostname, isActive: agent.active }),
      ...(known === undefined ? {} : { offeredMiB: known.offeredMiB }),
    }
  })
}

const MASTERS: readonly Column<MesosView['masters'][number]>[] = [
  { title: 'URL', value: (each) => each.url },
  { title: 'LEADS', value: (each) => (each.leading ? 'yes' : 'no') },
  { title: 'VERSION', value: (each) => each.version },
  { title: 'TROUBLE', value: (each) => each.trouble },
]

const POOLS: readonly Column<MesosView['pools'][number]>[] = [
  { title: 'POOL', value: (each) => each.name },
  { title: 'ROLES', value: (each) => each.mesos.roles.join(',') },
  { title: 'CAPACITY', value: (each) => (each.mesos.unreserved ? 'unreserved' : 'reserved') },
  { title: 'VOLUMES', value: (each) => (each.mesos.float ? 'float' : 'stay') },
  { title: 'SHRINK', value: (each) => each.shrink },
  { title: 'PROVIDERS', value: (each) => each.providers, right: true },
]

const PROVIDERS: readonly Column<Row>[] = [
  { title: 'NODE', value: (row) => row.node },
  { title: 'AGENT', value: (row) => row.hostname ?? row.agentId },
  { title: 'POOL', value: (row) => row.pool },
  { title: 'STATE', value: stateOf },
  { title: 'VERSION', value: ({ report }) => shortVersion(report?.version) },
  { title: 'ADVERTISED', value: ({ report }) => sizeOf(report?.advertisedMiB), right: true },
  { title: 'VOLUMES', value: ({ report }) => volumesOf(report?.disks, report?.usedDisks), right: true },
  { title: 'IN OFFERS', value: (row) => sizeOf(row.offeredMiB), right: true },
  { title: 'OPERATIONS', value: ({ report }) => report?.operations, right: true },
]

/** As the provider says; else as the master does. */
function stateOf({ connected, report, isActive }: Row): string {
  if (!connected) return 'lost'
  if (report?.state !== undefined && report.state !== 'open') return report.state
  return isActive === false ? 'disconnected' : 'up'
}

/** Base64 of a UUID: its beginning tells versions apart. */
function shortVersion(version: string | undefined): string | undefined {
  return version?.slice(0, 6)
}

function sizeOf(mib: number | undefined): string | undefined {
  return mib === undefined ? undefined : formatSize(mib)
}

function volumesOf(disks: number | undefined, used = 0): string | undefined {
  return disks === undefined ? undefined : `${used}/${disks}`
}

function troubles(providers: readonly ProviderView[]): string {
  const lines = providers.flatMap(({ node, pool, report }) => {
    const where = `${node} ${pool}: `
    const failure = report?.lastFailure
    return [
      ...(report?.problem === undefined ? [] : [`${where}${report.problem}`]),
      ...(failure === undefined ? [] : [`${where}a task could not start ${ageOf(failure.at)} ago: ${failure.message}`]),
    ]
  })
  if (lines.length === 0) return ''
  const text = lines.slice(0, SHOWN).map((line) => `${printable(line)}\n`)
  return part('TROUBLES', text.join(''))
}

function hints({ cluster }: MesosView): string {
  const last = cluster?.hints.slice(-HINTS) ?? []
  if (last.length === 0) return ''
  const lines = last.map(
    ({ at, agentId, hostname, sentence }) => `${ageOf(at)} ago  agent ${hostname ?? agentId}: ${sentence}\n`,
  )
  return part('HEARD OF AGENTS  (nothing is freed for it)', lines.map(printableLine).join(''))
}

function printableLine(line: string): string {
  return `${printable(line.trimEnd())}\n`
}
