import { Command } from 'commander'
import { VERSION } from './version.ts'

interface Noun {
  readonly name: string
  readonly summary: string
  /** Loads what defines its verbs; only done for the noun that is asked for. */
  readonly load: () => Promise<(noun: Command) => void>
}

const NOUNS: readonly Noun[] = [
  {
    name: 'status',
    summary: 'one screen: pools, nodes, work, and what is stuck',
    load: async () => (await import('./commands/status.ts')).defineStatus,
  },
  {
    name: 'pool',
    summary: 'capacity inside a storage system',
    load: async () => (await import('./commands/pool.ts')).definePool,
  },
  {
    name: 'node',
    summary: 'machines that use volumes',
    load: async () => (await import('./commands/node.ts')).defineNode,
  },
  {
    name: 'role',
    summary: 'who owns what, and quotas',
    load: async () => (await import('./commands/role.ts')).defineRole,
  },
  {
    name: 'profile',
    summary: 'named kinds of volumes',
    load: async () => (await import('./commands/profile.ts')).defineProfile,
  },
  {
    name: 'hold',
    summary: 'capacity and IOPS set aside',
    load: async () => (await import('./commands/hold.ts')).defineHold,
  },
  {
    name: 'volume',
    summary: 'volumes: create, use, grow, delete',
    load: async () => (await import('./commands/volume.ts')).defineVolume,
  },
  {
    name: 'group',
    summary: 'volumes that are made together, all or none',
    load: async () => (await import('./commands/group.ts')).defineGroup,
  },
  {
    name: 'snapshot',
    summary: 'snapshots of volumes',
    load: async () => (await import('./commands/snapshot.ts')).defineSnapshot,
  },
  {
    name: 'attachment',
    summary: 'which volume is where, and who writes',
    load: async () => (await import('./commands/attachment.ts')).defineAttachment,
  },
  {
    name: 'operation',
    summary: 'slow work: follow, wait, cancel',
    load: async () => (await import('./commands/operation.ts')).defineOperation,
  },
  {
    name: 'events',
    summary: 'what happened, and what happens',
    load: async () => (await import('./commands/events.ts')).defineEvents,
  },
  {
    name: 'explain',
    summary: 'where a volume would go, and why or why not',
    load: async () => (await import('./commands/explain.ts')).defineExplain,
  },
  { name: 'token', summary: 'credentials', load: async () => (await import('./commands/token.ts')).defineToken },
  {
    name: 'clock',
    summary: 'the wall clock after a jump',
    load: async () => (await import('./commands/clock.ts')).defineClock,
  },
  {
    name: 'controller',
    summary: 'run the controller',
    load: async () => (await import('./commands/daemons.ts')).defineController,
  },
  {
    name: 'mesos',
    summary: 'external storage as resources of Mesos',
    load: async () => (await import('./commands/mesos.ts')).defineMesos,
  },
  {
    name: 'csi',
    summary: "run CSI's controller services apart from a node",
    load: async () => (await import('./commands/csi.ts')).defineCsi,
  },
  {
    name: 'dev',
    summary: 'try things out: a controller, nodes and a pool in one process',
    load: async () => (await import('./commands/daemons.ts')).defineDev,
  },
  {
    name: 'completion',
    summary: 'completion for bash, zsh or fish',
    load: async () => (await import('./commands/completion.ts')).defineCompletion,
  },
  {
    name: 'openapi',
    summary: 'print the description of the API',
    load: async () => (await import('./commands/openapi.ts')).defineOpenapi,
  },
  {
    name: 'version',
    summary: 'print the version',
    load: async () => (await import('./commands/version.ts')).defineVersion,
  },
]

export const EXIT_CODES =
  'Exit codes: 0 done, 1 failed, 2 usage, 3 does not fit, 4 not found, 5 conflict, 6 not allowed, 130 interrupted.'

/**
 * The tree of commands. Only the nouns that appear among the arguments get their verbs (a value that happens to be
 * called like one costs a few milliseconds and does no harm); `all` gives every noun its verbs.
 */
export async function buildProgram(args: readonly string[] | 'all'): Promise<Command> {
  const program = new Command('holdfast')
    .description('Persistent storage that lives outside the machines that use it: every pool is counted once.')
    .version(`holdfast ${VERSION}`, '-V, --version', 'print the version')
    .option('--api <url>', 'URL of the controller')
    .option('--token-file <file>', 'file with the token')
    .option('--config <file>', 'configuration file, instead of those of the system and the user')
    .option('-o, --output <format>', 'table, json or yaml')
    .option('--no-headers', 'tables without their first line')
    .option('--idempotency-key <key>', 'repeat a change safely: the same key does it once')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help of a command')
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ showGlobalOptions: true, helpWidth: 100 })
    .addHelpText('after', `\n${EXIT_CODES}`)
  for (const { name, summary, load } of NOUNS) {
    const noun = program.command(name).summary(summary).description(summary)
    if (args === 'all' || args.includes(name)) (await load())(noun)
    else noun.allowUnknownOption()
  }
  return program
}

/** The command that the arguments name, as far as they do. */
export function commandOf(program: Command, args: readonly string[]): Command {
  let command = program
  for (const word of args) {
    const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word))
    if (next !== undefined) command = next
  }
  return command
}

/** How a command is called, e.g. `holdfast volume create`. */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}
