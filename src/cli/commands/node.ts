import type { Command } from 'commander'
import { formatCount } from '../../model/units.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { confirm } from '../confirm.ts'
import { ageOf, formatLabels, yesNo } from '../format.ts'
import type { Column } from '../table.ts'
import type { NodeView } from '../views.ts'
import { defineNodeRun } from './daemons.ts'
import { asking, type Labels, listing, oneOf, pair, seconds, whole } from './options.ts'
import { makeToken, type TokenOptions } from './token.ts'

const COLUMNS: readonly Column<NodeView>[] = [
  { title: 'NAME', value: (node) => node.name },
  { title: 'STATE', value: (node) => node.state },
  { title: 'NEW WORK', value: (node) => (node.cordoned ? 'cordoned' : 'taken') },
  { title: 'POOLS', value: (node) => node.reach.length, right: true },
  { title: 'ATTACHED', value: (node) => `${node.attachments}/${node.attachmentLimit}`, right: true },
  { title: 'BANDWIDTH', value: bandwidth, right: true },
  { title: 'VERSION', value: (node) => node.version },
  { title: 'AGE', value: (node) => ageOf(node.createdAt), right: true },
]

function bandwidth(node: NodeView): string | undefined {
  if (node.bandwidth === undefined) return undefined
  return `${formatCount(node.bandwidthUsed)}/${formatCount(node.bandwidth)} ${node.bandwidthUnit}`
}

interface UpdateOptions {
  readonly label?: Labels
  readonly attachmentLimit?: number
  readonly bandwidth?: number | null
  readonly bandwidthUnit?: string
}

export function defineNode(noun: Command): void {
  listing(noun.command('list').alias('ls').description('list nodes'))
    .addOption(oneOf('--state <state>', 'only nodes in this state', ['joined', 'up', 'lost']))
    .action(
      run<{ state?: string; limit?: number }>(async (cli, { state, limit }) => {
        await cli.out.list(await cli.client.list<NodeView>('/v1/nodes', { state }, limit), COLUMNS)
      }),
    )
  noun
    .command('show <node>')
    .description('show a node')
    .action(run(async (cli, _, node = '') => showNode(cli, await cli.client.get<NodeView>(`/v1/nodes/${part(node)}`))))
  noun
    .command('update <node>')
    .description('change what a node may take')
    .option('--label <key=value>', 'a label of the node; replaces all of them', pair('--label'))
    .option(
      '--attachment-limit <count>',
      'how many volumes may be attached at once',
      whole('--attachment-limit', 0, 10_000),
    )
    .option('--bandwidth <amount>', 'storage bandwidth that attachments may take, or "none"', bandwidthOrNone)
    .option('--bandwidth-unit <unit>', 'what that is counted in')
    .action(
      run<UpdateOptions>((cli, options, node = '') => {
        const { label: labels, attachmentLimit, bandwidth: amount, bandwidthUnit } = options
        return update(cli, node, { labels, attachmentLimit, bandwidth: amount, bandwidthUnit })
      }),
    )
  noun
    .command('cordon <node>')
    .description('place no new attachment or work on a node')
    .action(run((cli, _, node = '') => update(cli, node, { cordoned: true })))
  noun
    .command('uncordon <node>')
    .description('take a node into use again')
    .action(run((cli, _, node = '') => update(cli, node, { cordoned: false })))
  asking(noun.command('remove <node>').alias('rm').description('remove a node that holds nothing')).action(
    run(async (cli, options, node = '') => {
      await confirm(options, `Remove node ${node}? Its credentials end.`, 'may')
      const { body } = await cli.client.change<NodeView>('DELETE', `/v1/nodes/${part(node)}`)
      await cli.out.text(body, `node ${body.name} removed\n`)
    }),
  )
  noun
    .command('token')
    .description('make a join token: it works once, for an hour if you say nothing else')
    .option('--expires-in <time>', 'how long it works, e.g. 30m', seconds('--expires-in'))
    .option('--note <text>', 'what it is for')
    .option('--save <file>', 'write the secret to a new file that only you can read')
    .action(run<TokenOptions>((cli, options) => makeToken(cli, 'join', options)))
  defineNodeRun(noun)
}

function bandwidthOrNone(text: string): number | null {
  return text === 'none' ? null : whole('--bandwidth', 0, 2 ** 40)(text)
}

async function update(cli: Cli, node: string, set: Record<string, unknown>): Promise<void> {
  await showNode(cli, (await cli.client.change<NodeView>('PATCH', `/v1/nodes/${part(node)}`, set)).body)
}

async function showNode(cli: Cli, node: NodeView): Promise<void> {
  await cli.out.one(node, [
    ['name', node.name],
    ['id', node.id],
    ['state', node.state],
    ['connected', yesNo(node.connected)],
    ['cordoned', yesNo(node.cordoned)],
    ['lost for', node.lostAt === undefined ? undefined : ageOf(String(node.lostAt))],
    ['pools', node.reach.join(', ')],
    ['attachments', `${node.attachments} of ${node.attachmentLimit}`],
    ['bandwidth', bandwidth(node) ?? 'not counted'],
    ['watchdog', yesNo(node.watchdog)],
    ['labels', formatLabels(node.labels)],
    ['version', node.version],
    ['age', ageOf(node.createdAt)],
  ])
}
