import type { Command } from 'commander'
import { checkName } from '../../model/names.ts'
import { formatSize } from '../../model/units.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { confirm } from '../confirm.ts'
import { ageOf, bothSizes, formatLabels } from '../format.ts'
import type { Column } from '../table.ts'
import { note } from '../terminal.ts'
import type { SnapshotView } from '../views.ts'
import { waitForWork } from '../wait.ts'
import { asking, type Labels, listing, pair, slow } from './options.ts'

const COLUMNS: readonly Column<SnapshotView>[] = [
  { title: 'NAME', value: (snapshot) => snapshot.name },
  { title: 'VOLUME', value: (snapshot) => snapshot.volume },
  { title: 'STATE', value: (snapshot) => snapshot.state },
  { title: 'SIZE', value: (snapshot) => formatSize(snapshot.sizeMiB), right: true },
  { title: 'ROLE', value: (snapshot) => snapshot.role },
  { title: 'POOL', value: (snapshot) => snapshot.pool },
  { title: 'AGE', value: (snapshot) => ageOf(snapshot.createdAt), right: true },
  { title: 'ID', value: (snapshot) => snapshot.id },
]

interface Waiting {
  readonly wait?: boolean
}
type Started = { snapshot: SnapshotView; operation?: string }

const pathOf = (snapshot: string) => `/v1/snapshots/${part(snapshot)}`

export function defineSnapshot(noun: Command): void {
  slow(noun.command('create <volume>').description('take a snapshot of a volume'))
    .requiredOption('--name <name>', 'what it is called')
    .option('--label <key=value>', 'a label of the snapshot', pair('--label'))
    .action(
      run<Waiting & { name: string; label?: Labels }>(async (cli, options, volume = '') => {
        const body = { volume, name: checkName('snapshot', options.name), labels: options.label }
        const { snapshot, operation } = (await cli.client.change<Started>('POST', '/v1/snapshots', body)).body
        await follow(cli, options, operation, snapshot)
        await showSnapshot(cli, await cli.client.get<SnapshotView>(pathOf(snapshot.id)))
      }),
    )
  listing(noun.command('list').alias('ls').description('list snapshots'))
    .option('--volume <volume>', 'only of this volume')
    .action(
      run<{ volume?: string; limit?: number }>(async (cli, { volume, limit }) => {
        await cli.out.list(await cli.client.list<SnapshotView>('/v1/snapshots', { volume }, limit), COLUMNS)
      }),
    )
  noun
    .command('show <snapshot>')
    .description('show a snapshot')
    .action(run(async (cli, _, name = '') => showSnapshot(cli, await cli.client.get<SnapshotView>(pathOf(name)))))
  asking(slow(noun.command('delete <snapshot>').alias('rm').description('delete a snapshot'))).action(
    run<Waiting>(async (cli, options, name = '') => {
      await confirm(options, `Delete snapshot ${name} for good?`, 'may')
      const { snapshot, operation } = (await cli.client.change<Started>('DELETE', pathOf(name))).body
      await follow(cli, options, operation, snapshot)
      await cli.out.text(
        snapshot,
        `snapshot ${snapshot.name} ${options.wait === false ? 'is being deleted' : 'deleted'}\n`,
      )
    }),
  )
}

async function follow(
  cli: Cli,
  options: Waiting,
  operation: string | undefined,
  snapshot: SnapshotView,
): Promise<void> {
  if (operation === undefined) return
  if (options.wait === false) return note(`follow it with: holdfast operation wait ${operation}\n`)
  await waitForWork(cli.client, operation, pathOf(snapshot.id), snapshot.name)
}

async function showSnapshot(cli: Cli, snapshot: SnapshotView): Promise<void> {
  const { fault } = snapshot
  await cli.out.one(snapshot, [
    ['name', snapshot.name],
    ['id', snapshot.id],
    ['volume', snapshot.volume],
    ['state', snapshot.state],
    ['size', bothSizes(snapshot.sizeMiB)],
    ['filesystem', snapshot.fs],
    ['role', snapshot.role],
    ['pool', snapshot.pool],
    ['object', snapshot.object],
    ['labels', formatLabels(snapshot.labels)],
    ['fault', fault && `${fault.code}: ${fault.message}`],
    ['next', fault?.next],
    ['age', ageOf(snapshot.createdAt)],
  ])
}
