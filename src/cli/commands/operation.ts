import type { Command } from 'commander'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { ageOf } from '../format.ts'
import type { Column } from '../table.ts'
import type { OperationView } from '../views.ts'
import { waitForOperation } from '../wait.ts'
import { listing, oneOf, seconds } from './options.ts'

const STATES = ['pending', 'running', 'succeeded', 'failed', 'cancelled']
const KINDS = ['provision', 'delete', 'grow', 'snapshot', 'delete-snapshot', 'import', 'mark', 'fence']

const COLUMNS: readonly Column<OperationView>[] = [
  { title: 'ID', value: (operation) => operation.id },
  { title: 'KIND', value: (operation) => operation.kind },
  { title: 'SUBJECT', value: (operation) => operation.subjectName ?? operation.subject.id },
  { title: 'STATE', value: (operation) => (operation.overdue ? 'overdue' : operation.state) },
  { title: 'STEP', value: (operation) => operation.step },
  { title: 'DONE', value: (operation) => percent(operation), right: true },
  { title: 'NODE', value: (operation) => operation.node },
  { title: 'AGE', value: (operation) => ageOf(operation.createdAt), right: true },
  { title: 'NOTE', value: (operation) => noteOf(operation) },
]

function percent({ progress }: OperationView): string | undefined {
  return progress === undefined ? undefined : `${Math.floor(progress * 100)}%`
}

function noteOf({ waitingFor, fault, state }: OperationView): string | undefined {
  if (state === 'pending' && waitingFor !== undefined) return `waits for ${waitingFor}`
  return state === 'succeeded' ? undefined : fault?.message
}

interface ListOptions {
  readonly state?: string
  readonly kind?: string
  readonly subject?: string
  readonly node?: string
  readonly limit?: number
}

const pathOf = (operation: string) => `/v1/operations/${part(operation)}`

export function defineOperation(noun: Command): void {
  listing(noun.command('list').alias('ls').description('list slow work, under way and ended in the last day'))
    .addOption(oneOf('--state <state>', 'only in this state', STATES))
    .addOption(oneOf('--kind <kind>', 'only of this kind', KINDS))
    .option('--subject <id>', 'only about this')
    .option('--node <node>', 'only on this node')
    .action(
      run<ListOptions>(async (cli, { state, kind, subject, node, limit }) => {
        const query = { state, kind, subject, node }
        await cli.out.list(await cli.client.list<OperationView>('/v1/operations', query, limit), COLUMNS)
      }),
    )
  noun
    .command('show <operation>')
    .description('show an operation')
    .action(run(async (cli, _, id = '') => showOperation(cli, await cli.client.get<OperationView>(pathOf(id)))))
  noun
    .command('cancel <operation>')
    .description('cancel an operation: at once when it waits, by asking its node when it runs')
    .action(
      run(async (cli, _, id = '') => {
        await showOperation(cli, (await cli.client.change<OperationView>('POST', `${pathOf(id)}/cancel`)).body)
      }),
    )
  noun
    .command('wait <operation>')
    .description('wait for the end of an operation; fails as it does')
    .option('--timeout <time>', 'how long at most, e.g. 10m', seconds('--timeout'))
    .action(
      run<{ timeout?: number }>(async (cli, { timeout }, id = '') => {
        await showOperation(cli, await waitForOperation(cli.client, id, timeout))
      }),
    )
}

async function showOperation(cli: Cli, operation: OperationView): Promise<void> {
  const { subject, subjectName, fault } = operation
  await cli.out.one(operation, [
    ['id', operation.id],
    ['kind', operation.kind],
    ['subject', `${subject.kind} ${subjectName ?? subject.id}`],
    ['state', operation.state],
    ['step', operation.step],
    ['done', percent(operation)],
    ['waits for', operation.waitingFor],
    ['pool', operation.pool],
    ['node', operation.node],
    ['attempt', operation.attempt],
    ['failures', operation.failures || undefined],
    ['overdue', operation.overdue ? 'yes' : undefined],
    ['cancelling', operation.cancelRequested ? 'yes' : undefined],
    ['fault', fault && `${fault.code}: ${fault.message}`],
    ['next', fault?.next],
    ['age', ageOf(operation.createdAt)],
  ])
}
