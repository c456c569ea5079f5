import { hostname } from 'node:os'
import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { checkName, isName } from '../../model/names.ts'
import { readFileSync } from '../builtins.ts'
import { type GlobalOptions, openCli } from '../cli.ts'
import type { Given } from '../config/layers.ts'
import type { LoadedConfig, NodeConfig } from '../config.ts'
import type { DevReady } from '../dev.ts'
import type { MesosSettings } from '../run-controller.ts'
import { say } from '../terminal.ts'
import { type Labels, oneOf, pair, size, whole } from './options.ts'

// The commands that stay: they load the server's code, and nobody else does.

interface Stoppable {
  stop(): Promise<void>
}

export const LEVELS = ['debug', 'info', 'warn', 'error']

export function defineController(noun: Command): void {
  noun
    .command('run')
    .description('run the controller in the foreground; TERM ends it')
    .option('--listen <host:port>', 'address and port of the API')
    .option('--state <directory>', 'where it keeps everything')
    .option('--tls-cert <file>', 'PEM file of its certificate')
    .option('--tls-key <file>', "PEM file of the certificate's key")
    .option('--insecure', 'serve plain HTTP beyond loopback')
    .option(
      '--mesos-masters <masters>',
      'masters of Mesos: zk://host:2181/mesos, or http://host:5050,http://host2:5050',
    )
    .option('--mesos-principal <principal>', "principal of what Mesos is shown, and of the masters' credentials")
    .option('--mesos-secret-file <file>', 'file with the secret of that principal')
    .addOption(oneOf('--log <level>', 'how much is logged', LEVELS))
    .action(async function (this: Command) {
      const options = this.optsWithGlobals<Record<string, unknown>>()
      const loaded = await settings(options, 'controller', {
        listen: 'listen',
        state: 'state',
        tlsCert: 'tls.cert',
        tlsKey: 'tls.key',
        insecure: 'insecure',
        mesosMasters: 'mesos.masters',
        mesosPrincipal: 'mesos.principal',
        mesosSecretFile: 'mesos.secretFile',
        log: 'log',
      })
      await startController(loaded)
    })
}

async function startController(loaded: LoadedConfig): Promise<void> {
  const { config } = loaded
  const { listen, state, tls, insecure, leaseSeconds, log: level } = config.controller
  const colon = listen.lastIndexOf(':')
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, '')
  const port = Number(listen.slice(colon + 1))
  const { runController } = await import('../run-controller.ts')
  const log = await logTo(level)
  const { cert, key } = tls
  const certificate = cert === undefined || key === undefined ? {} : { tls: { cert, key } }
  const mesos = mesosSettings(loaded)
  await stay(runController({ state, host, port, insecure, leaseMs: leaseSeconds * 1000, log, mesos, ...certificate }))
}

function mesosSettings(loaded: LoadedConfig): MesosSettings {
  const { masters, principal, secretFile, ca, tls } = loaded.config.controller.mesos
  const read = (key: string, file: string | undefined) =>
    file === undefined ? undefined : readText(loaded, `controller.mesos.${key}`, file)
  const secret = read('secretFile', secretFile)?.trim()
  if (secret !== undefined && !/^\S+$/.test(secret)) {
    const where = `${secretFile} (controller.mesos.secretFile, from ${loaded.origin('controller.mesos.secretFile')})`
    throw new HoldfastError('invalid_option', `${where}: it should hold the secret alone, without blanks`)
  }
  return { masters, principal, secret, ca: read('ca', ca), tls }
}

export function defineNodeRun(noun: Command): void {
  noun
    .command('run')
    .description('run the node daemon in the foreground; TERM ends it, and what is mounted stays mounted')
    .option('--name <name>', 'name of this node; the host name if not given')
    .option('--state <directory>', 'where it keeps its journal and its credential')
    .option('--join-token-file <file>', 'file with the join token, needed once')
    .option('--mount-root <directory>', 'where volumes are mounted')
    .option('--label <key=value>', 'a label of this node', pair('--label'))
    .option('--watchdog <device>', 'watchdog device, for pools with fence: self')
    .option('--no-docker', 'without the Docker volume plugin')
    .option('--csi', 'with the CSI plugin')
    .option('--socket <path>', 'socket for other processes of this machine')
    .addOption(oneOf('--log <level>', 'how much is logged', LEVELS))
    .action(async function (this: Command) {
      const options = this.optsWithGlobals<Record<string, unknown> & { label?: Labels }>()
      const loaded = await settings({ ...options, docker: options.docker === false ? false : undefined }, 'node', {
        name: 'name',
        api: 'api',
        state: 'state',
        joinTokenFile: 'joinTokenFile',
        mountRoot: 'mountRoot',
        label: 'labels',
        watchdog: 'watchdog',
        docker: 'doors.docker',
        csi: 'doors.csi',
        socket: 'socket',
        log: 'log',
      })
      await startNode(loaded)
    })
}

async function startNode(loaded: LoadedConfig): Promise<void> {
  const { node } = loaded.config
  const { docker, csi } = node.doors
  const name = nodeName(node)
  const joinToken =
    node.joinTokenFile === undefined
      ? node.joinToken
      : readText(loaded, 'node.joinTokenFile', node.joinTokenFile).trim()
  const { runNode } = await import('../run-node.ts')
  const log = await logTo(node.log)
  await stay(
    runNode({
      name,
      api: node.api,
      joinToken,
      state: node.state,
      mountRoot: node.mountRoot,
      mountRoots: node.mountRoots,
      programDirectories: node.programDirectories,
      labels: node.labels,
      leaseMs: node.leaseSeconds * 1000,
      socket: node.socket,
      log,
      ...(node.ca === undefined ? {} : { ca: readText(loaded, 'node.ca', node.ca) }),
      ...(node.watchdog === undefined ? {} : { watchdog: node.watchdog }),
      ...(docker === false ? {} : { docker: { ...docker, socket: docker.socket ?? '' } }),
      ...(csi === false ? {} : { csi }),
    }),
  )
}

function nodeName(node: NodeConfig): string {
  const name = node.name ?? hostname()
  if (isName(name)) return name
  throw new HoldfastError(
    'invalid_name',
    `the host name ${name} is no name for a node; give one with --name or node.name`,
  )
}

export function readText(loaded: LoadedConfig, path: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw new HoldfastError(
      'invalid_option',
      `${file} (${path}, from ${loaded.origin(path)}): ${(thrown as Error).message}`,
    )
  }
}

interface DevFlags {
  readonly dir: string
  readonly nodes: number
  readonly pool?: number
  readonly poolIops: number
  readonly docker: string
  readonly mesos?: readonly string[]
  readonly mesosMasters?: string
  readonly json: boolean
  readonly port: number
  readonly log: string
}

export function defineDev(noun: Command): void {
  noun
    .requiredOption('--dir <directory>', 'everything is kept under it')
    .option('--nodes <count>', 'how many nodes', whole('--nodes', 0, 16), 2)
    .option('--pool <size>', 'declared capacity of the pool (default: 100GiB)', size)
    .option('--pool-iops <count>', 'IOPS of the pool; 0 counts none', whole('--pool-iops', 0, 2 ** 40), 0)
    .option('--docker <name>', 'name of the Docker volume plugin, or "off"', pluginName, 'holdfast')
    .option('--mesos <url...>', 'agents of Mesos: a provider with the first node for the first one, and so on')
    .option('--mesos-masters <masters>', 'masters of Mesos to watch: zk://host:2181/mesos, or http://host:5050')
    .option('--json', 'one line for programs when it is ready: API, token, sockets', false)
    .option('--port <port>', 'port of the API; 0 takes any that is free', whole('--port', 0, 65_535), 0)
    .addOption(oneOf('--log <level>', 'how much is logged', LEVELS).default('warn'))
    .action(async function (this: Command) {
      const {
        dir,
        nodes,
        pool: poolSizeMiB = DEV_POOL_MIB,
        poolIops,
        docker,
        mesos = [],
        mesosMasters,
        json,
        port,
        log: level,
      } = this.optsWithGlobals<DevFlags>()
      const { runDev } = await import('../dev.ts')
      const log = await logTo(level)
      const started = runDev({ dir, nodes, poolSizeMiB, poolIops, docker, mesos, mesosMasters, port, log })
      await stay(started, (ready) => say(json ? readyLine(ready) : readyText(ready)))
    })
}

const DEV_POOL_MIB = 100 * 1024

function pluginName(text: string): string {
  return checkName('plugin', text)
}

function readyLine({ api, token, pool, nodes }: DevReady): string {
  return `${JSON.stringify({ api, token, pool, nodes })}\n`
}

function readyText({ api, tokenFile, pool, nodes }: DevReady): string {
  const rows = nodes.flatMap(({ name, mountRoot, docker, csi, mesos }) => [
    `  ${name}: mounts in ${mountRoot}`,
    ...(docker === null ? [] : [`  ${' '.repeat(name.length)}  Docker's plugin at ${docker}`]),
    `  ${' '.repeat(name.length)}  CSI plugin at ${csi}`,
    ...(mesos === null ? [] : [`  ${' '.repeat(name.length)}  provider of the agent ${mesos}`]),
  ])
  const settings = `  export HOLDFAST_API=${api} HOLDFAST_TOKEN_FILE=${tokenFile}`
  return `${[`ready: pool ${pool}`, ...rows, 'In another terminal:', settings, '  holdfast status'].join('\n')}\n`
}

/** The log goes to stderr: what a command says for programs stays on stdout. */
export async function logTo(level: string) {
  const [{ createLog }, { destination }] = await Promise.all([
    import('../../controller/http/log.ts'),
    import('pino').then(({ pino }) => pino),
  ])
  return createLog(level, destination({ dest: 2, sync: true }))
}

/** Flags as settings of a section. */
export async function settings(
  options: Record<string, unknown> & GlobalOptions,
  section: string,
  paths: Readonly<Record<string, string>>,
): Promise<LoadedConfig> {
  const flags = new Map<string, Given>()
  for (const [flag, path] of Object.entries(paths)) {
    const value = options[flag]
    const origin = `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    if (value !== undefined) flags.set(`${section}.${path}`, { value, origin })
  }
  return (await openCli(options, flags)).loaded
}

/**
 * Runs until TERM or INT, then stops in order. A second signal ends it at once. Signals alone, and parts that wait
 * without holding on to the process, do not keep it alive: this does, until all of it has ended.
 */
export async function stay<T extends Stoppable>(starting: Promise<T>, ready?: (running: T) => void): Promise<void> {
  const alive = setInterval(() => {}, 2 ** 30)
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  const stop = () => resolve()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  try {
    const running = await starting
    ready?.(running)
    await asked
    await running.stop()
  } finally {
    clearInterval(alive)
  }
}
