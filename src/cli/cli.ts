import { join } from 'node:path'
import type { Command } from 'commander'
import { HoldfastError } from '../model/errors.ts'
import { readFileSync, statSync } from './builtins.ts'
import { Client } from './client.ts'
import type { Given, Layer } from './config/layers.ts'
import { type ClientConfig, type LoadedConfig, loadConfig } from './config.ts'
import { type Format, Output } from './output.ts'
import { withSuggestion } from './suggestion.ts'

/** Flags that every command takes. */
export interface GlobalOptions {
  readonly api?: string
  readonly tokenFile?: string
  readonly config?: string
  readonly output?: string
  readonly headers?: boolean
  readonly yes?: boolean
  readonly idempotencyKey?: string
}

/** What a command works with: its settings, the controller, and where results go. */
export class Cli {
  readonly loaded: LoadedConfig
  readonly options: GlobalOptions
  readonly out: Output
  #client: Client | undefined

  constructor(loaded: LoadedConfig, options: GlobalOptions) {
    this.loaded = loaded
    this.options = options
    this.out = new Output(loaded.config.client.output as Format, options.headers !== false)
  }

  get client(): Client {
    this.#client ??= new Client(clientOptions(this.loaded, this.options))
    return this.#client
  }
}

/** What flags say, as the last layer of the configuration. */
export function globalFlags(options: GlobalOptions): Map<string, Given> {
  const flags = new Map<string, Given>()
  const add = (path: string, value: unknown, origin: string) => {
    if (value !== undefined) flags.set(path, { value, origin })
  }
  add('client.api', options.api, '--api')
  add('client.tokenFile', options.tokenFile, '--token-file')
  add('client.output', options.output, '--output')
  return flags
}

export async function openCli(options: GlobalOptions, more: Layer = new Map()): Promise<Cli> {
  const flags = new Map([...globalFlags(options), ...more])
  return new Cli(await loadConfig({ file: options.config, flags }), options)
}

function clientOptions(loaded: LoadedConfig, options: GlobalOptions): ConstructorParameters<typeof Client>[0] {
  const { client, controller } = loaded.config
  return {
    api: client.api,
    apiOrigin: loaded.origin('client.api'),
    token: tokenOf(client, loaded, join(controller.state, 'admin.token')),
    ...(client.ca === undefined ? {} : { ca: readNamed(client.ca, loaded.origin('client.ca')) }),
    ...(options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey }),
  }
}

const RANK = ['--token-file', 'HOLDFAST_TOKEN', 'HOLDFAST_TOKEN_FILE']

/** A flag comes before the environment, that before the file; the controller's own token helps its administrator. */
function tokenOf(client: ClientConfig, loaded: LoadedConfig, adminToken: string): string | undefined {
  const fileFirst =
    client.token === undefined || originRank(loaded, 'client.tokenFile') < originRank(loaded, 'client.token')
  if (client.tokenFile !== undefined && fileFirst) {
    return readNamed(client.tokenFile, loaded.origin('client.tokenFile')).trim()
  }
  if (client.token !== undefined) return client.token
  return statSync(adminToken, { throwIfNoEntry: false })?.isFile() === true ? readQuietly(adminToken) : undefined
}

function originRank(loaded: LoadedConfig, path: string): number {
  const at = RANK.indexOf(loaded.origin(path))
  return at === -1 ? RANK.length : at
}

function readNamed(file: string, origin: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw new HoldfastError('invalid_option', `${file} (from ${origin}): ${(thrown as Error).message}`)
  }
}

function readQuietly(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** A command's body: what it works with, its own flags, its arguments. */
export type Body<O> = (cli: Cli, options: O & GlobalOptions, ...args: string[]) => Promise<void>

/** Makes a commander action of a command's body. */
export function run<O = object>(body: Body<O>): (this: Command) => Promise<void> {
  return async function (this: Command) {
    const options = this.optsWithGlobals<O & GlobalOptions>()
    const cli = await openCli(options)
    try {
      await body(cli, options, ...this.args)
    } catch (thrown) {
      throw await withSuggestion(cli.client, thrown)
    }
  }
}
