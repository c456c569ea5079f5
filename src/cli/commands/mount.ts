import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { LocalNodeClient } from '../../doors/local/node-client.ts'
import { type Cli, run } from '../cli.ts'
import { oneOf, seconds } from './options.ts'

interface Options {
  readonly user: string
  readonly nodeSocket?: string
  readonly timeout: number
}
interface MountOptions extends Options {
  readonly mode?: 'rw' | 'ro'
  readonly at?: string
}

const DEFAULT_USER = 'script'
const DEFAULT_SECONDS = 120

/** For scripts of this machine: no orchestrator, and no token but the right to speak with the node daemon (root). */
export function defineMount(noun: Command): void {
  onThisMachine(noun.command('mount <volume>').description('mount a volume on this machine and print where it is'))
    .addOption(oneOf('--mode <mode>', 'writing or only reading', ['rw', 'ro']))
    .option('--at <path>', "a mount point under one of the node's allowed roots")
    .action(run<MountOptions>(mount))
  onThisMachine(
    noun.command('unmount <volume>').description('end the use of a volume that was mounted with `mount`'),
  ).action(run<Options>(unmount))
}

function onThisMachine(command: Command): Command {
  return command
    .option('--user <id>', 'for whom; the same one may mount again and unmounts once', DEFAULT_USER)
    .option('--node-socket <path>', "the node daemon's local socket")
    .option('--timeout <duration>', 'how long it may take', seconds('--timeout'), DEFAULT_SECONDS)
}

async function mount(cli: Cli, options: MountOptions, volume = ''): Promise<void> {
  const { mode = 'rw', at, user, timeout } = options
  const wanted = {
    volume,
    user: { door: 'rest', id: user },
    mode,
    ...(at === undefined ? {} : { mountAt: resolve(at) }),
  }
  const path = await (await node(cli, options)).mount(wanted, timeout * 1000)
  await cli.out.text({ volume, path }, `${path}\n`)
}

async function unmount(cli: Cli, options: Options, volume = ''): Promise<void> {
  const { user, timeout } = options
  await (await node(cli, options)).unmount(volume, { door: 'rest', id: user }, timeout * 1000)
}

async function node(cli: Cli, { nodeSocket }: Options): Promise<LocalNodeClient> {
  // only here: what it needs takes long to load
  const { LocalNodeClient } = await import('../../doors/local/node-client.ts')
  return new LocalNodeClient(nodeSocket ?? cli.loaded.config.node.socket)
}
