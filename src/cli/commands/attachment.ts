import type { Command } from 'commander'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { confirm } from '../confirm.ts'
import { formatAge } from '../format.ts'
import type { Column } from '../table.ts'
import type { AttachmentView } from '../views.ts'
import { asking, listing, oneOf } from './options.ts'

const STATES = ['attaching', 'attached', 'mounted', 'unmounting', 'fencing', 'stuck']

const COLUMNS: readonly Column<AttachmentView>[] = [
  { title: 'VOLUME', value: (each) => each.volume },
  { title: 'NODE', value: (each) => each.node },
  { title: 'STATE', value: (each) => each.state },
  { title: 'MODE', value: (each) => each.mode },
  { title: 'EPOCH', value: (each) => each.epoch, right: true },
  { title: 'USERS', value: (each) => each.users.length, right: true },
  { title: 'AGE', value: (each) => formatAge(each.ageSeconds), right: true },
  { title: 'PATH', value: (each) => each.path },
  { title: 'ID', value: (each) => each.id },
]

interface ListOptions {
  readonly volume?: string
  readonly node?: string
  readonly state?: string
  readonly limit?: number
}

export function defineAttachment(noun: Command): void {
  listing(noun.command('list').alias('ls').description('list attachments'))
    .option('--volume <volume>', 'only of this volume')
    .option('--node <node>', 'only on this node')
    .addOption(oneOf('--state <state>', 'only in this state', STATES))
    .action(
      run<ListOptions>(async (cli, { volume, node, state, limit }) => {
        const query = { volume, node, state }
        await cli.out.list(await cli.client.list<AttachmentView>('/v1/attachments', query, limit), COLUMNS)
      }),
    )
  noun
    .command('show <attachment>')
    .description('show an attachment')
    .action(
      run(async (cli, _, id = '') => {
        await showAttachment(cli, await cli.client.get<AttachmentView>(`/v1/attachments/${part(id)}`))
      }),
    )
  asking(noun.command('force <attachment>').description('declare an attachment gone, without proof; recorded'))
    .requiredOption('--reason <text>', 'why you are sure that nothing writes there any more')
    .action(run<{ reason: string; yes?: boolean }>(force))
}

async function force(cli: Cli, options: { reason: string; yes?: boolean }, id = ''): Promise<void> {
  const path = `/v1/attachments/${part(id)}`
  const { volume, node, state } = await cli.client.get<AttachmentView>(path)
  await confirm(
    options,
    `Declare volume ${volume} gone from node ${node} (${state})? If anything still writes there, the filesystem is lost.`,
    'must',
  )
  const { body } = await cli.client.change<{ attachment: AttachmentView }>('POST', `${path}/force`, {
    reason: options.reason,
  })
  await cli.out.text(body.attachment, `volume ${volume} is declared gone from ${node}\n`)
}

export async function showAttachment(cli: Cli, each: AttachmentView): Promise<void> {
  await cli.out.one(each, [
    ['volume', each.volume],
    ['node', each.node],
    ['id', each.id],
    ['state', each.state],
    ['mode', each.mode],
    ['path', each.path],
    ['epoch', each.epoch],
    ['reason', each.reason],
    ['users', each.users.map((user) => `${user.door} ${user.id}`).join(', ')],
    ['bandwidth', each.bandwidth === 0 ? undefined : each.bandwidth],
    ['age', formatAge(each.ageSeconds)],
  ])
}
