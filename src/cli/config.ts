import { homedir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { existsSync, readFileSync } from './builtins.ts'
import type { Fields } from './config/fields.ts'
import { build, environmentLayer, type Layer } from './config/layers.ts'
import { type Config, SCHEMA } from './config/schema.ts'

export type { ClientConfig, NodeConfig } from './config/schema.ts'

const DOCKER_API = '/run/docker.sock'

export interface ConfigSources {
  /** The only file that is read; without it, those of the system and of the user, if they are there. */
  readonly file?: string | undefined
  readonly environment?: NodeJS.ProcessEnv
  /** Settings that flags gave, by path. */
  readonly flags?: Layer
}

export interface LoadedConfig {
  readonly config: Config
  /** Where a setting came from, for messages: `--api`, `HOLDFAST_API`, `/etc/holdfast/config.yaml:3:3`. */
  origin(path: string): string
}

/**
 * Puts the configuration together: flags over the environment over the user's file over the system's.
 * The YAML parser is only loaded when there is a file.
 * @throws invalid_option naming file, line and column (or the variable or flag) of everything wrong; not_found for a
 *   file that was asked for
 */
export async function loadConfig(sources: ConfigSources = {}): Promise<LoadedConfig> {
  const { environment = process.env, flags = new Map() } = sources
  // the schema is data of one shape; its exact type is only wanted for what is read
  const schema: Fields = SCHEMA
  const layers: Layer[] = []
  for (const [file, text] of readFiles(sources.file ?? environment.HOLDFAST_CONFIG, environment)) {
    const { yamlLayer } = await import('./config/yaml-layer.ts')
    layers.push(yamlLayer(schema, file, text))
  }
  layers.push(environmentLayer(schema, environment), flags)
  const { config, origins } = build(schema, layers)
  const loaded = config as Config
  checkTogether(loaded, origins)
  return { config: withSocket(loaded), origin: (path) => origins.get(path) ?? 'the default' }
}

function readFiles(only: string | undefined, environment: NodeJS.ProcessEnv): [file: string, text: string][] {
  if (only !== undefined && only !== '') return [[only, readAsked(only)]]
  const home = environment.XDG_CONFIG_HOME ?? join(environment.HOME ?? homedir(), '.config')
  const places = ['/etc/holdfast/config.yaml', join(home, 'holdfast/config.yaml')]
  return places.flatMap((file) => {
    const text = readIfThere(file)
    return text === undefined ? [] : [[file, text] as [string, string]]
  })
}

function readAsked(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw new HoldfastError('not_found', `configuration file ${file}: ${(thrown as Error).message}`)
  }
}

/** A file of the system that this user may not read is for the daemons and not for this user. */
function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined
    throw new HoldfastError('invalid_option', `configuration file ${file}: ${(thrown as Error).message}`)
  }
}

function checkTogether({ controller }: Config, origins: ReadonlyMap<string, string>): void {
  checkMasters(controller.mesos, origins)
  const { cert, key } = controller.tls
  if ((cert === undefined) === (key === undefined)) return
  const [given, missing] = cert === undefined ? ['key', 'cert'] : ['cert', 'key']
  throw new HoldfastError(
    'invalid_option',
    `${origins.get(`controller.tls.${given}`)}: controller.tls.${given}: controller.tls.${missing} is needed with it`,
  )
}

/** Credentials without anybody to give them to are a mistake. */
function checkMasters(
  { masters, secretFile, ca }: Config['controller']['mesos'],
  origins: ReadonlyMap<string, string>,
) {
  if (masters !== undefined) return
  const given = secretFile !== undefined ? 'secretFile' : ca !== undefined ? 'ca' : undefined
  if (given === undefined) return
  const path = `controller.mesos.${given}`
  throw new HoldfastError('invalid_option', `${origins.get(path)}: ${path}: controller.mesos.masters is needed with it`)
}

/** The plugin's socket is named after it. */
function withSocket(config: Config): Config {
  const { docker, csi } = config.node.doors
  if (docker === false) return config
  const socket = docker.socket ?? `/run/docker/plugins/${docker.name}.sock`
  // where Docker itself is where it usually is, it can be asked who still uses what
  const api = docker.api ?? (docker.socket === undefined && existsSync(DOCKER_API) ? DOCKER_API : undefined)
  const door = { ...docker, socket, ...(api === undefined ? {} : { api }) }
  return { ...config, node: { ...config.node, doors: { docker: door, csi } } }
}
