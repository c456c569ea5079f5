import type { Command } from 'commander'
import { formatCount, formatSize } from '../../model/units.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { confirm } from '../confirm.ts'
import { ageOf, bothSizes, formatAge, formatLabels } from '../format.ts'
import type { Column } from '../table.ts'
import type { HoldView } from '../views.ts'
import { asking, type Labels, listing, pair, rate, seconds, size } from './options.ts'

const COLUMNS: readonly Column<HoldView>[] = [
  { title: 'ID', value: (hold) => hold.id },
  { title: 'POOL', value: (hold) => hold.pool },
  { title: 'ROLE', value: (hold) => hold.role },
  { title: 'SIZE', value: (hold) => formatSize(hold.sizeMiB), right: true },
  { title: 'LEFT', value: (hold) => formatSize(hold.remainingMiB), right: true },
  { title: 'IOPS', value: (hold) => formatCount(hold.iops), right: true },
  { title: 'IOPS LEFT', value: (hold) => formatCount(hold.remainingIops), right: true },
  { title: 'EXPIRES IN', value: (hold) => expiry(hold), right: true },
  { title: 'AGE', value: (hold) => ageOf(hold.createdAt), right: true },
]

function expiry(hold: HoldView): string | undefined {
  return hold.expiresAt === undefined ? undefined : formatAge((Date.parse(hold.expiresAt) - Date.now()) / 1000)
}

interface HoldOptions {
  readonly pool: string
  readonly role?: string
  readonly size: number
  readonly iops?: number
  readonly expiresIn?: number
  readonly label?: Labels
}

export function defineHold(noun: Command): void {
  noun
    .command('create')
    .description('set capacity and IOPS aside for a role')
    .requiredOption('--pool <pool>', 'where')
    .requiredOption('--size <size>', 'how much, e.g. 100GiB', size)
    .option('--role <role>', 'for whom')
    .option('--iops <count>', 'how many IOPS', rate('--iops'))
    .option('--expires-in <time>', 'give it back after this time, e.g. 2h; never if not given', seconds('--expires-in'))
    .option('--label <key=value>', 'a label of the hold', pair('--label'))
    .action(
      run<HoldOptions>(async (cli, options) => {
        const { pool, role, size: sizeMiB, iops, expiresIn: expiresInSeconds, label: labels } = options
        const hold = { pool, role, sizeMiB, iops, expiresInSeconds, labels }
        await showHold(cli, (await cli.client.change<HoldView>('POST', '/v1/holds', hold)).body)
      }),
    )
  listing(noun.command('list').alias('ls').description('list holds'))
    .option('--pool <pool>', 'only in this pool')
    .option('--role <role>', 'only of this role')
    .action(
      run<{ pool?: string; role?: string; limit?: number }>(async (cli, { pool, role, limit }) => {
        await cli.out.list(await cli.client.list<HoldView>('/v1/holds', { pool, role }, limit), COLUMNS)
      }),
    )
  noun
    .command('show <hold>')
    .description('show a hold')
    .action(run(async (cli, _, hold = '') => showHold(cli, await cli.client.get<HoldView>(`/v1/holds/${part(hold)}`))))
  asking(noun.command('release <hold>').description('give a hold back; volumes keep what they drew')).action(
    run(async (cli, options, hold = '') => {
      await confirm(options, `Give hold ${hold} back?`, 'may')
      const { body } = await cli.client.change<HoldView>('DELETE', `/v1/holds/${part(hold)}`)
      await cli.out.text(body, `hold ${body.id} released\n`)
    }),
  )
}

async function showHold(cli: Cli, hold: HoldView): Promise<void> {
  await cli.out.one(hold, [
    ['id', hold.id],
    ['pool', hold.pool],
    ['role', hold.role],
    ['size', bothSizes(hold.sizeMiB)],
    ['left', bothSizes(hold.remainingMiB)],
    ['iops', formatCount(hold.iops)],
    ['iops left', formatCount(hold.remainingIops)],
    ['expires in', expiry(hold) ?? 'never'],
    ['labels', formatLabels(hold.labels)],
    ['age', ageOf(hold.createdAt)],
  ])
}
