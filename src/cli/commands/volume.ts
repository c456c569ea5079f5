import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { checkName, checkRole } from '../../model/names.ts'
import { formatSize } from '../../model/units.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { confirm } from '../confirm.ts'
import type { Column } from '../table.ts'
import type { VolumeView } from '../views.ts'
import { defineAttach } from './attach.ts'
import { defineMount } from './mount.ts'
import { ACCESS, asking, type Labels, list, listing, oneOf, pair, rate, seconds, size, slow } from './options.ts'
import { type VolumeOptions, volumeBody, volumeOptions } from './volume-options.ts'
import { changeVolume, showVolume } from './volume-show.ts'

const STATES = [
  'requested',
  'creating',
  'formatting',
  'importing',
  'available',
  'trash',
  'deleting',
  'missing',
  'error',
]

const COLUMNS: readonly Column<VolumeView>[] = [
  { title: 'NAME', value: (volume) => volume.name },
  { title: 'STATE', value: (volume) => volume.state },
  { title: 'SIZE', value: (volume) => formatSize(volume.sizeMiB), right: true },
  { title: 'IOPS', value: (volume) => volume.iops || undefined, right: true },
  { title: 'FS', value: (volume) => volume.fs },
  { title: 'ROLE', value: (volume) => volume.role },
  { title: 'POOL', value: (volume) => volume.pool },
  { title: 'USED ON', value: (volume) => volume.attachments.map((each) => each.node).join(',') },
  { title: 'ID', value: (volume) => volume.id },
]

interface ListOptions {
  readonly pool?: string
  readonly role?: string
  readonly state?: string
  readonly node?: string
  readonly label?: string[]
  readonly inUse?: boolean
  readonly idle?: boolean
  readonly limit?: number
}

interface UpdateOptions {
  readonly label?: Labels
  readonly access?: string
  readonly bandwidth?: number
}

interface Waiting {
  readonly wait?: boolean
}

const pathOf = (volume: string) => `/v1/volumes/${part(volume)}`

export function defineVolume(noun: Command): void {
  slow(
    volumeOptions(noun.command('create <name>').description('create a volume and wait until it can be used')),
  ).action(
    run<VolumeOptions & Waiting>((cli, options, name = '') => {
      return changeVolume(cli, options, 'POST', '/v1/volumes', volumeBody(name, options))
    }),
  )
  defineList(noun)
  noun
    .command('show <volume>')
    .description('show a volume')
    .action(run(async (cli, _, volume = '') => showVolume(cli, await cli.client.get<VolumeView>(pathOf(volume)))))
  noun
    .command('update <volume>')
    .description('change labels, access or bandwidth')
    .option('--label <key=value>', 'a label of the volume; replaces all of them', pair('--label'))
    .addOption(oneOf('--access <access>', 'how many nodes may use it', ACCESS))
    .option('--bandwidth <amount>', "storage bandwidth an attachment takes, in the node's unit", rate('--bandwidth'))
    .action(
      run<UpdateOptions>((cli, { label: labels, access, bandwidth }, volume = '') => {
        return patch(cli, volume, { labels, access, bandwidth })
      }),
    )
  noun
    .command('protect <volume>')
    .description('refuse to delete a volume')
    .action(run((cli, _, volume = '') => patch(cli, volume, { protected: true })))
  noun
    .command('unprotect <volume>')
    .description('allow to delete a volume again')
    .action(run((cli, _, volume = '') => patch(cli, volume, { protected: false })))
  slow(noun.command('resize <volume>').description('grow a volume and its filesystem'))
    .requiredOption('--size <size>', 'how large it is to be, e.g. 20GiB', size)
    .action(
      run<Waiting & { size: number }>((cli, options, volume = '') => {
        return changeVolume(cli, options, 'POST', `${pathOf(volume)}/resize`, { sizeMiB: options.size })
      }),
    )
  defineEnds(noun)
  defineAttach(noun)
  defineMount(noun)
}

function defineList(noun: Command): void {
  listing(noun.command('list').alias('ls').description('list volumes'))
    .option('--pool <pool>', 'only in this pool')
    .option('--role <role>', 'only of this role')
    .addOption(oneOf('--state <state>', 'only in this state', STATES))
    .option('--node <node>', 'only those used on this node')
    .option('--label <key=value>', 'only with this label; several are all wanted', list)
    .option('--in-use', 'only those that are attached')
    .option('--idle', 'only those that are not attached')
    .action(
      run<ListOptions>(async (cli, { limit, inUse, idle, ...filters }) => {
        const { pool, role, state, node, label } = filters
        const used = inUse === true ? true : idle === true ? false : undefined
        const query = { pool, role, state, node, label, inUse: used }
        await cli.out.list(await cli.client.list<VolumeView>('/v1/volumes', query, limit), COLUMNS)
      }),
    )
}

function defineEnds(noun: Command): void {
  asking(
    slow(
      noun.command('delete <volume>').alias('rm').description('delete a volume, at once or after a time in the trash'),
    ),
  )
    .option('--trash <time>', 'keep it in the trash so long, e.g. 7d', seconds('--trash'))
    .action(
      run<Waiting & { trash?: number }>(async (cli, options, volume = '') => {
        const { trash = 0 } = options
        if (trash === 0) await confirmDelete(cli, options, volume)
        await changeVolume(cli, options, 'DELETE', pathOf(volume), undefined, { trash: trash || undefined })
      }),
    )
  noun
    .command('undelete <volume>')
    .description('take a volume out of the trash')
    .option('--name <name>', 'under another name, when its own was taken meanwhile')
    .action(
      run<Waiting & { name?: string }>(async (cli, options, volume = '') => {
        const { name } = options
        const body = name === undefined ? {} : { name: checkName('volume', name) }
        return changeVolume(cli, options, 'POST', `${pathOf(await inTrash(cli, volume))}/undelete`, body)
      }),
    )
  asking(slow(noun.command('purge <volume>').description('delete a volume that is in the trash now'))).action(
    run<Waiting>(async (cli, options, volume = '') => {
      const id = await inTrash(cli, volume)
      await confirmDelete(cli, options, id)
      await changeVolume(cli, options, 'POST', `${pathOf(id)}/purge`)
    }),
  )
  slow(noun.command('import <pool> <object>').description('adopt an object that is on the storage already'))
    .requiredOption('--name <name>', 'what it is called from now on')
    .option('--role <role>', 'the role that it is charged to')
    .addOption(oneOf('--access <access>', 'how many nodes may use it', ACCESS))
    .action(
      run<Waiting & { name: string; role?: string; access?: string }>((cli, options, pool = '', object = '') => {
        const { access } = options
        const role = options.role === undefined ? undefined : checkRole(options.role)
        const body = { pool, object, name: checkName('volume', options.name), role, access }
        return changeVolume(cli, options, 'POST', '/v1/volumes/import', body)
      }),
    )
  asking(noun.command('release <volume>').description('forget a volume and leave its object on the storage')).action(
    run<Waiting>(async (cli, options, volume = '') => {
      await confirm(options, `Forget volume ${volume}? Its object stays on the storage and is counted no more.`, 'must')
      await changeVolume(cli, options, 'POST', `${pathOf(volume)}/release`)
    }),
  )
}

async function confirmDelete(cli: Cli, options: { readonly yes?: boolean }, volume: string): Promise<void> {
  if (options.yes === true || process.stdin.isTTY !== true) return
  const { name, sizeMiB, role, state } = await cli.client.get<VolumeView>(pathOf(volume))
  await confirm(options, `Delete volume ${name} (${formatSize(sizeMiB)}, role ${role}, ${state}) for good?`, 'may')
}

async function patch(cli: Cli, volume: string, set: Record<string, unknown>): Promise<void> {
  await showVolume(cli, (await cli.client.change<VolumeView>('PATCH', pathOf(volume), set)).body)
}

/** What is in the trash has given its name up, but is still called by it. @returns its id; else the text as it is */
async function inTrash(cli: Cli, volume: string): Promise<string> {
  const found = await cli.client.list<VolumeView>('/v1/volumes', { state: 'trash', name: volume })
  const [only, ...others] = found
  if (only === undefined) return volume
  if (others.length === 0) return only.id
  const ids = found.map((each) => each.id).join(', ')
  throw new HoldfastError(
    'invalid_option',
    `${found.length} volumes in the trash were called ${volume}; say which: ${ids}`,
  )
}
