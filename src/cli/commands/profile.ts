import type { Command } from 'commander'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { ageOf, countOrNone } from '../format.ts'
import type { Column } from '../table.ts'
import type { ProfileView } from '../views.ts'
import { FILESYSTEMS, list, listing, oneOf, rate } from './options.ts'

const COLUMNS: readonly Column<ProfileView>[] = [
  { title: 'NAME', value: (profile) => profile.id },
  { title: 'FS', value: (profile) => profile.fs },
  { title: 'ACCESS', value: (profile) => profile.access },
  { title: 'IOPS', value: (profile) => countOrNone(profile.iops), right: true },
  { title: 'IOPS/GiB', value: (profile) => countOrNone(profile.iopsPerGiB), right: true },
  { title: 'POOLS', value: (profile) => profile.pools?.join(', ') ?? 'all' },
]

interface ProfileOptions {
  readonly fs?: string
  readonly access?: string
  readonly iops?: number
  readonly iopsPerGib?: number
  readonly pools?: string[]
}

const pathOf = (profile: string) => `/v1/profiles/${part(profile)}`

export function defineProfile(noun: Command): void {
  listing(noun.command('list').alias('ls').description('list profiles, by name')).action(
    run<{ limit?: number }>(async (cli, { limit }) => {
      await cli.out.list(await cli.client.list<ProfileView>('/v1/profiles', {}, limit), COLUMNS)
    }),
  )
  noun
    .command('show <profile>')
    .description('show a profile')
    .action(run(async (cli, _, name = '') => showProfile(cli, await cli.client.get<ProfileView>(pathOf(name)))))
  noun
    .command('set <profile>')
    .description('set the whole of a profile; what was made with it stays as it is')
    .addOption(oneOf('--fs <filesystem>', 'what a volume has; raw: a block device', FILESYSTEMS))
    .addOption(oneOf('--access <access>', 'who may use it', ['single-writer', 'many-readers', 'read-only']))
    .option('--iops <count>', 'IOPS of every volume, whatever its size', rate('--iops'))
    .option('--iops-per-gib <count>', 'IOPS for each GiB that is begun, besides', rate('--iops-per-gib'))
    .option('--pools <pool,…>', 'the only pools it is for', list)
    .action(
      run<ProfileOptions>(async (cli, { fs, access, iops, iopsPerGib, pools }, name = '') => {
        const body = { fs, access, iops, iopsPerGiB: iopsPerGib, pools }
        await showProfile(cli, (await cli.client.change<ProfileView>('PUT', pathOf(name), body)).body)
      }),
    )
  noun
    .command('delete <profile>')
    .alias('rm')
    .description('remove a profile; what was made with it stays')
    .action(
      run(async (cli, _, name = '') => {
        const { body } = await cli.client.change<ProfileView>('DELETE', pathOf(name))
        await cli.out.text(body, `profile ${body.id} removed\n`)
      }),
    )
}

async function showProfile(cli: Cli, profile: ProfileView): Promise<void> {
  await cli.out.one(profile, [
    ['name', profile.id],
    ['filesystem', profile.fs],
    ['access', profile.access],
    ['iops', profile.iops],
    ['iops per GiB', profile.iopsPerGiB],
    ['pools', profile.pools?.join(', ') ?? 'all'],
    ['age', ageOf(profile.createdAt)],
  ])
}
