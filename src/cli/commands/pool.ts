import type { Command } from 'commander'
import { parsePoolName } from '../../model/names.ts'
import { formatSize } from '../../model/units.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { confirm } from '../confirm.ts'
import { ageOf, bothSizes, countOrNone, formatLabels, sizeOrNone, yesNo } from '../format.ts'
import type { Column } from '../table.ts'
import { note } from '../terminal.ts'
import type { OperationView, PoolView } from '../views.ts'
import { untilDone, waitForOperation } from '../wait.ts'
import { asking, type Labels, listing, oneOf, pair, rate, ratio, size, sizeOrZero, slow } from './options.ts'
import { type MesosOptions, mesosBody, mesosLine, mesosOptions } from './pool-mesos.ts'

const COLUMNS: readonly Column<PoolView>[] = [
  { title: 'NAME', value: (pool) => pool.name },
  { title: 'DRIVER', value: (pool) => pool.driver },
  { title: 'STATE', value: (pool) => (pool.marked ? pool.state : 'unmarked') },
  { title: 'SIZE', value: (pool) => formatSize(pool.usage.limitMiB), right: true },
  { title: 'USED', value: (pool) => formatSize(pool.usage.usedMiB), right: true },
  { title: 'HELD', value: (pool) => formatSize(pool.usage.heldMiB), right: true },
  { title: 'FREE', value: (pool) => formatSize(pool.usage.freeMiB), right: true },
  { title: 'IOPS FREE', value: (pool) => countOrNone(pool.usage.iopsFree), right: true },
  { title: 'NODES', value: (pool) => pool.nodes, right: true },
]

interface PoolOptions extends MesosOptions {
  readonly driver?: string
  readonly setting?: Labels
  readonly capacity?: number
  readonly iops?: number
  readonly overcommit?: number
  readonly reserve?: number
  readonly fence?: string
  readonly label?: Labels
  readonly state?: string
  readonly markOn?: string
  readonly wait?: boolean
}

function poolOptions(command: Command): Command {
  return command
    .option('--setting <key=value>', 'a setting of the driver, e.g. directory=/srv/pool', pair('--setting'))
    .option('--iops <count>', 'IOPS that may be given out; 0 counts none', rate('--iops'))
    .option('--overcommit <ratio>', 'how much more may be given out than there is, e.g. 1.5', ratio)
    .option('--reserve <size>', 'capacity that is never given out', sizeOrZero)
    .addOption(oneOf('--fence <how>', "how a lost node's access is proven gone", ['driver', 'manual', 'self']))
    .option('--label <key=value>', 'a label of the pool', pair('--label'))
}

function bodyOf(options: PoolOptions): Record<string, unknown> {
  return {
    driver: options.driver,
    settings: options.setting,
    capacityMiB: options.capacity,
    iops: options.iops,
    overcommit: options.overcommit,
    reserveMiB: options.reserve,
    fence: options.fence,
    labels: options.label,
    mesos: mesosBody(options),
  }
}

/** A node looks for pools that it does not reach every second. */
const REACHED_WITHIN_S = 15

export function definePool(noun: Command): void {
  mesosOptions(
    poolOptions(noun.command('create <pool>').description('declare a pool, written type~instance~pool')),
    false,
  )
    .requiredOption('--capacity <size>', 'how much it holds, e.g. 10TiB', size)
    .option('--driver <driver>', 'how it is reached', 'loop')
    .option('--mark-on <node>', 'write its marker on the storage from this node now')
    .option('--no-wait', 'return at once; the work goes on')
    .action(run<PoolOptions>(createPool))
  listing(noun.command('list').alias('ls').description('list pools')).action(
    run<{ limit?: number }>(async (cli, { limit }) => {
      await cli.out.list(await cli.client.list<PoolView>('/v1/pools', {}, limit), COLUMNS)
    }),
  )
  noun
    .command('show <pool>')
    .description('show a pool')
    .action(run(async (cli, _, pool = '') => showPool(cli, await cli.client.get<PoolView>(`/v1/pools/${part(pool)}`))))
  mesosOptions(
    poolOptions(noun.command('update <pool>').alias('set').description('change a pool; capacity and IOPS are facts')),
    true,
  )
    .option('--capacity <size>', 'how much it holds', sizeOrZero)
    .option('--driver <driver>', 'how it is reached')
    .addOption(oneOf('--state <state>', 'draining: nothing new is placed there', ['active', 'draining']))
    .action(
      run<PoolOptions>(async (cli, options, pool = '') => {
        const body = { ...bodyOf(options), state: options.state }
        await showPool(cli, (await cli.client.change<PoolView>('PATCH', `/v1/pools/${part(pool)}`, body)).body)
      }),
    )
  slow(noun.command('mark <pool>').description('write the marker of a pool on its storage'))
    .requiredOption('--node <node>', 'the node that writes it')
    .action(run<{ node: string; wait?: boolean }>(markPool))
  asking(noun.command('delete <pool>').alias('rm').description('remove a pool that holds nothing')).action(
    run(async (cli, options, pool = '') => {
      await confirm(options, `Remove pool ${pool}?`, 'may')
      const { body } = await cli.client.change<PoolView>('DELETE', `/v1/pools/${part(pool)}`)
      await cli.out.text(body, `pool ${body.name} removed\n`)
    }),
  )
  noun
    .command('inventory <pool>')
    .description('what was found on the storage, compared with the ledger')
    .action(run((cli, _, pool = '') => showInventory(cli, pool)))
}

async function createPool(cli: Cli, options: PoolOptions, name = ''): Promise<void> {
  parsePoolName(name)
  const { body } = await cli.client.change<PoolView>('POST', '/v1/pools', {
    name,
    ...bodyOf(options),
    markOn: options.markOn,
  })
  if (options.markOn === undefined) {
    note(`It is not marked yet, so nothing is placed there: holdfast pool mark ${body.name} --node NODE\n`)
  } else if (options.wait !== false) {
    const [mark] = await cli.client.list<OperationView>('/v1/operations', { subject: body.id, kind: 'mark' }, 1)
    if (mark !== undefined) await waitForMark(cli, mark.id, body.id)
  }
  await showPool(cli, await cli.client.get<PoolView>(`/v1/pools/${body.id}`))
}

async function markPool(cli: Cli, options: { node: string; wait?: boolean }, name = ''): Promise<void> {
  const { node } = options
  const { body } = await cli.client.change<{ pool: PoolView; operation?: string }>(
    'POST',
    `/v1/pools/${part(name)}/mark`,
    {
      node,
    },
  )
  if (options.wait !== false && body.operation !== undefined) await waitForMark(cli, body.operation, body.pool.id)
  await showPool(cli, await cli.client.get<PoolView>(`/v1/pools/${body.pool.id}`))
}

/** A pool is of use when a node has read the marker: the one that wrote it does so at once, unless it is gone. */
async function waitForMark(cli: Cli, operation: string, pool: string): Promise<void> {
  await waitForOperation(cli.client, operation)
  const reached = async () => ((await cli.client.get<PoolView>(`/v1/pools/${pool}`)).nodes > 0 ? true : undefined)
  await untilDone(reached, `holdfast pool show ${pool}`, REACHED_WITHIN_S)
}

async function showPool(cli: Cli, pool: PoolView): Promise<void> {
  const { usage, storage, capabilities } = pool
  await cli.out.one(pool, [
    ['name', pool.name],
    ['id', pool.id],
    ['state', pool.marked ? pool.state : 'unmarked'],
    ['driver', pool.driver],
    ['settings', formatLabels(pool.settings)],
    ['capacity', bothSizes(pool.capacityMiB)],
    ['overcommit', pool.overcommit],
    ['reserve', sizeOrNone(pool.reserveMiB)],
    ['may be given out', bothSizes(usage.limitMiB)],
    ['used', bothSizes(usage.usedMiB)],
    ['held', bothSizes(usage.heldMiB)],
    ['free', bothSizes(usage.freeMiB)],
    [
      'iops',
      usage.iopsLimit === null
        ? 'not counted'
        : `${usage.iopsUsed} used, ${usage.iopsHeld} held, ${usage.iopsFree} free`,
    ],
    ['fence', pool.fence],
    ['nodes', pool.nodes],
    ['labels', formatLabels(pool.labels)],
    ['mesos', mesosLine(pool)],
    [
      'storage',
      storage && `${formatSize(storage.sizeMiB)}, ${formatSize(storage.freeMiB)} free (${ageOf(storage.at)} ago)`,
    ],
    ['thin', pool.thin ? 'yes: more is declared than the storage holds' : undefined],
    ['alarm', pool.lowOnStorage ? 'the storage itself is nearly full' : undefined],
    ['deficit', pool.deficit?.map((each) => `${each.id}: ${each.used} of ${each.limit}`).join('; ')],
    ['snapshots', capabilities?.snapshot],
    ['grows', capabilities?.grow],
    ['filesystems', capabilities?.filesystems.join(', ')],
    ['age', ageOf(pool.createdAt)],
  ])
}

interface InventoryObject {
  readonly name: string
  readonly sizeMiB: number
  readonly usedMiB?: number
  readonly attached?: boolean
  readonly status: string
  readonly owner?: string
}

interface InventoryView {
  readonly pool: string
  readonly at: string
  readonly node: string
  readonly objects: readonly InventoryObject[]
  readonly missing: readonly string[]
}

const OBJECT_COLUMNS: readonly Column<InventoryObject>[] = [
  { title: 'OBJECT', value: (each) => each.name },
  { title: 'STATUS', value: (each) => each.status },
  { title: 'SIZE', value: (each) => formatSize(each.sizeMiB), right: true },
  { title: 'USED', value: (each) => sizeOrNone(each.usedMiB), right: true },
  { title: 'ATTACHED', value: (each) => (each.attached === undefined ? undefined : yesNo(each.attached)) },
  { title: 'OWNER', value: (each) => each.owner },
]

async function showInventory(cli: Cli, pool: string): Promise<void> {
  const found = await cli.client.get<InventoryView>(`/v1/pools/${part(pool)}/inventory`)
  if (cli.out.format !== 'table') return cli.out.text(found, '')
  await cli.out.list(found.objects, OBJECT_COLUMNS)
  note(`as node ${found.node} saw it ${ageOf(found.at)} ago\n`)
  for (const name of found.missing) note(`missing on the storage: ${name}\n`)
}
