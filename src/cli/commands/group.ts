import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { readFileSync } from '../builtins.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { ageOf } from '../format.ts'
import type { Column } from '../table.ts'
import type { GroupView } from '../views.ts'
import { untilDone } from '../wait.ts'
import { type GroupBody, groupFromFile, volumeFromText } from './group-input.ts'
import { listing, oneOf, slow } from './options.ts'

const COLUMNS: readonly Column<GroupView>[] = [
  { title: 'ID', value: (group) => group.id },
  { title: 'NAME', value: (group) => group.name },
  { title: 'STATE', value: (group) => group.state },
  { title: 'VOLUMES', value: (group) => group.members.map((each) => each.name).join(',') },
  { title: 'AGE', value: (group) => ageOf(group.createdAt), right: true },
]

interface CreateOptions {
  readonly name?: string
  readonly volume?: Record<string, unknown>[]
  readonly onFailure?: string
  readonly wait?: boolean
}

export function defineGroup(noun: Command): void {
  slow(
    noun
      .command('create [file]')
      .description('create volumes together, all or none, from a YAML or JSON file or --volume'),
  )
    .option(
      '--volume <key=value,...>',
      'name=…,size=… and what else a volume may have',
      (text, before: object[] = []) => [...before, volumeFromText(text)],
    )
    .option('--name <name>', 'name of the group')
    .addOption(oneOf('--on-failure <what>', 'what happens to the others when one fails', ['keep', 'rollback']))
    .action(run<CreateOptions>(create))
  listing(noun.command('list').alias('ls').description('list groups')).action(
    run<{ limit?: number }>(async (cli, { limit }) => {
      await cli.out.list(await cli.client.list<GroupView>('/v1/groups', {}, limit), COLUMNS)
    }),
  )
  noun
    .command('show <group>')
    .description('show a group')
    .action(run(async (cli, _, id = '') => showGroup(cli, await cli.client.get<GroupView>(`/v1/groups/${part(id)}`))))
}

async function create(cli: Cli, options: CreateOptions, file?: string): Promise<void> {
  const { body } = await cli.client.change<{ group: GroupView }>('POST', '/v1/groups', await bodyOf(options, file))
  const { id } = body.group
  if (options.wait === false) return showGroup(cli, body.group)
  const ended = await untilDone(async () => {
    const group = await cli.client.get<GroupView>(`/v1/groups/${id}`)
    return group.state === 'pending' ? undefined : group
  }, `holdfast group show ${id}`)
  if (ended.state === 'failed') {
    throw new HoldfastError(
      'storage_failed',
      `group ${ended.name ?? id}: ${ended.reason ?? 'one of its volumes failed'}`,
    )
  }
  await showGroup(cli, ended)
}

async function bodyOf(options: CreateOptions, file: string | undefined): Promise<GroupBody> {
  const { volume: volumes = [], name, onFailure } = options
  if ((file === undefined) === (volumes.length === 0)) {
    throw new HoldfastError(
      'invalid_option',
      'give a FILE ("-" is the input) or --volume name=…,size=…, once for each volume',
    )
  }
  const given = file === undefined ? { volumes } : await groupFromFile(file, read(file))
  return { ...given, ...(name === undefined ? {} : { name }), ...(onFailure === undefined ? {} : { onFailure }) }
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (thrown) {
    throw new HoldfastError('invalid_option', `${file}: ${(thrown as Error).message}`)
  }
}

async function showGroup(cli: Cli, group: GroupView): Promise<void> {
  await cli.out.one(group, [
    ['id', group.id],
    ['name', group.name],
    ['state', group.state],
    ['on failure', group.onFailure],
    ['reason', group.reason],
    ...group.members.map((each) => ['volume', `${each.name} (${each.state})`] as const),
    ['age', ageOf(group.createdAt)],
  ])
}
