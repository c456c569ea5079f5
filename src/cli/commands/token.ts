import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { writeFileSync } from '../builtins.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import { ageOf, formatAge } from '../format.ts'
import type { Column } from '../table.ts'
import { note } from '../terminal.ts'
import type { TokenView } from '../views.ts'
import { list, listing, oneOf, seconds } from './options.ts'

export interface TokenOptions {
  readonly role?: string[]
  readonly note?: string
  readonly expiresIn?: number
  readonly save?: string
}

const KINDS = ['admin', 'operator', 'reader', 'framework', 'join']

const COLUMNS: readonly Column<TokenView>[] = [
  { title: 'ID', value: (token) => token.id },
  { title: 'KIND', value: (token) => token.tokenRole },
  { title: 'ROLES', value: (token) => token.roles?.join(',') },
  { title: 'NODE', value: (token) => token.nodeId },
  { title: 'EXPIRES IN', value: expiry, right: true },
  { title: 'AGE', value: (token) => ageOf(token.createdAt), right: true },
  { title: 'NOTE', value: (token) => token.note },
]

function expiry(token: TokenView): string | undefined {
  if (token.expiresAt === undefined) return undefined
  const left = (Date.parse(token.expiresAt) - Date.now()) / 1000
  return left <= 0 ? 'expired' : formatAge(left)
}

export function defineToken(noun: Command): void {
  noun
    .command('create')
    .description('make a token; its secret is printed once and kept nowhere')
    .addOption(oneOf('--kind <kind>', 'what it may do', KINDS).makeOptionMandatory())
    .option('--role <role>', 'a role that a framework token acts for', list)
    .option('--expires-in <time>', 'how long it works, e.g. 30d', seconds('--expires-in'))
    .option('--note <text>', 'what it is for')
    .option('--save <file>', 'write the secret to a new file that only you can read')
    .action(run<TokenOptions & { kind: string }>((cli, options) => makeToken(cli, options.kind, options)))
  listing(noun.command('list').alias('ls').description('list tokens, without their secrets')).action(
    run<{ limit?: number }>(async (cli, { limit }) => {
      await cli.out.list(await cli.client.list<TokenView>('/v1/tokens', {}, limit), COLUMNS)
    }),
  )
  noun
    .command('revoke <token>')
    .description('end a token')
    .action(
      run(async (cli, _, token = '') => {
        const { body } = await cli.client.change<TokenView>('DELETE', `/v1/tokens/${part(token)}`)
        await cli.out.text(body, `token ${body.id} revoked\n`)
      }),
    )
}

/** Prints nothing but the secret, so that it can go to a file or a pipe. */
export async function makeToken(cli: Cli, tokenRole: string, options: TokenOptions): Promise<void> {
  const { role: roles, note: text, expiresIn: expiresInSeconds, save } = options
  const { body } = await cli.client.change<{ token: TokenView; secret?: string }>('POST', '/v1/tokens', {
    tokenRole,
    roles,
    note: text,
    expiresInSeconds,
  })
  const { token, secret } = body
  if (secret === undefined) {
    throw new HoldfastError(
      'unknown_outcome',
      `token ${token.id} was made, but its secret got lost on the way: holdfast token revoke ${token.id}, and make another`,
    )
  }
  if (save !== undefined) {
    saveSecret(save, secret)
    return cli.out.text({ token, savedTo: save }, `token ${token.id} saved to ${save}\n`)
  }
  await cli.out.text(body, `${secret}\n`)
  note(`${tokenRole} token ${token.id}${token.expiresAt === undefined ? '' : `, until ${token.expiresAt}`}\n`)
}

function saveSecret(file: string, secret: string): void {
  try {
    writeFileSync(file, `${secret}\n`, { mode: 0o600, flag: 'wx' })
  } catch (thrown) {
    throw new HoldfastError(
      'invalid_option',
      `--save ${file}: ${(thrown as Error).message}; the token was made, revoke it`,
    )
  }
}
