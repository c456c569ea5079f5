import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { checkRole } from '../../model/names.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { countOrNone, sizeOrNone } from '../format.ts'
import type { Column } from '../table.ts'
import type { RoleView } from '../views.ts'
import { listing, rate, sizeOrZero } from './options.ts'

const COLUMNS: readonly Column<RoleView>[] = [
  { title: 'ROLE', value: (role) => role.role },
  { title: 'QUOTA', value: (role) => sizeOrNone(role.quota.sizeMiB), right: true },
  { title: 'USED', value: (role) => sizeOrNone(role.used.sizeMiB), right: true },
  { title: 'HELD', value: (role) => sizeOrNone(role.held.sizeMiB), right: true },
  { title: 'FREE', value: (role) => sizeOrNone(role.free.sizeMiB), right: true },
  { title: 'IOPS QUOTA', value: (role) => countOrNone(role.quota.iops), right: true },
  { title: 'IOPS USED', value: (role) => countOrNone(role.used.iops), right: true },
  { title: 'IOPS FREE', value: (role) => countOrNone(role.free.iops), right: true },
]

const pathOf = (role: string) => `/v1/roles/${part(checkRole(role))}`

export function defineRole(noun: Command): void {
  listing(noun.command('list').alias('ls').description('list roles that have a quota or use anything')).action(
    run<{ limit?: number }>(async (cli, { limit }) => {
      await cli.out.list(await cli.client.list<RoleView>('/v1/roles', {}, limit), COLUMNS)
    }),
  )
  noun
    .command('show <role>')
    .description('show a role')
    .action(run(async (cli, _, role = '') => showRole(cli, await cli.client.get<RoleView>(pathOf(role)))))
  noun
    .command('set <role>')
    .description('set the whole quota of a role; what is not given does not limit it')
    .option('--size <size>', 'the most it may use', sizeOrZero)
    .option('--iops <count>', 'the most IOPS it may use', rate('--iops'))
    .action(
      run<{ size?: number; iops?: number }>(async (cli, { size, iops }, role = '') => {
        if (size === undefined && iops === undefined) {
          throw new HoldfastError(
            'invalid_option',
            'give --size, --iops or both; holdfast role delete takes the quota away',
          )
        }
        const { body } = await cli.client.change<RoleView>('PUT', pathOf(role), { quota: { sizeMiB: size, iops } })
        await showRole(cli, body)
      }),
    )
  noun
    .command('delete <role>')
    .alias('rm')
    .description('take the quota of a role away')
    .action(
      run(async (cli, _, role = '') => {
        const { body } = await cli.client.change<RoleView>('DELETE', pathOf(role))
        await cli.out.text(body, `role ${role} has no quota any more\n`)
      }),
    )
}

async function showRole(cli: Cli, role: RoleView): Promise<void> {
  await cli.out.one(role, [
    ['role', role.role],
    ['quota', sizeOrNone(role.quota.sizeMiB) ?? 'none'],
    ['used', sizeOrNone(role.used.sizeMiB)],
    ['held', sizeOrNone(role.held.sizeMiB)],
    ['free', sizeOrNone(role.free.sizeMiB)],
    ['iops quota', countOrNone(role.quota.iops) ?? 'none'],
    ['iops used', countOrNone(role.used.iops)],
    ['iops held', countOrNone(role.held.iops)],
    ['iops free', countOrNone(role.free.iops)],
    ['deficit', role.deficit?.map((each) => `${each.id}: ${each.used} of ${each.limit}`).join('; ')],
  ])
}
