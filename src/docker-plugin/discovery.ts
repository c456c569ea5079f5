import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { nearest } from '../model/near.ts'
import { quote } from '../model/units.ts'

/** What a file says of a plugin cannot be used. */
export class BadSpecification extends Error {}

export interface PluginDirectories {
  readonly sockets: string
  /** In this order. */
  readonly specs: readonly string[]
}

/** Where a plugin listens. */
export type Endpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'tls'; readonly host: string; readonly port: number; readonly tls: TlsFiles }

/** The content of the files that a .json names. Without `ca` the server's certificate is not checked. */
export interface TlsFiles {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly insecure: boolean
}

/**
 * Looks where Docker does (moby v1.11, pkg/plugins/discovery.go): a socket, then in each folder of specifications
 * NAME.spec, NAME/NAME.spec, NAME.json, NAME/NAME.json. The first that is there counts; undefined when there is none.
 * @throws BadSpecification
 */
export function locate(driver: string, { sockets, specs }: PluginDirectories): Endpoint | undefined {
  for (const path of placesOf(sockets, driver, 'sock')) {
    if (isSocket(path)) return { kind: 'unix', path }
  }
  for (const folder of specs) {
    for (const file of placesOf(folder, driver, 'spec')) {
      const text = contentOf(file)
      // as Docker has it: nothing to check a certificate with
      if (text !== undefined) return endpointOf(text.trim(), file, () => ({ insecure: true }))
    }
    for (const file of placesOf(folder, driver, 'json')) {
      const text = contentOf(file)
      if (text !== undefined) return fromJson(text, file)
    }
  }
  return undefined
}

function placesOf(folder: string, name: string, ending: string): string[] {
  return [join(folder, `${name}.${ending}`), join(folder, name, `${name}.${ending}`)]
}

function isSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() === true
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new BadSpecification(`${file} cannot be read: ${message}`)
  }
}

function fromJson(text: string, file: string): Endpoint {
  let value: { Addr?: unknown; TLSConfig?: Record<string, unknown> | null }
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    throw new BadSpecification(`${file} is not JSON: ${(thrown as Error).message}`)
  }
  if (typeof value?.Addr !== 'string') throw new BadSpecification(`${file} has no "Addr", such as "https://host:port"`)
  const { TLSConfig: config } = value
  return endpointOf(value.Addr, file, () => tlsOf(config ?? {}, file))
}

/** `InsecureSkipVerify`, `CAFile`, `CertFile`, `KeyFile` (docker/cli docs/extend/plugin_api.md). */
function tlsOf(config: Readonly<Record<string, unknown>>, file: string): TlsFiles {
  const read = (key: 'CAFile' | 'CertFile' | 'KeyFile') => {
    const path = config[key]
    if (path === undefined || path === '') return undefined
    if (typeof path !== 'string') throw new BadSpecification(`${file}: ${key} must be the path of a file`)
    try {
      return readFileSync(path)
    } catch (thrown) {
      throw new BadSpecification(`${file}: ${key} cannot be read: ${(thrown as Error).message}`)
    }
  }
  const [ca, cert, key] = [read('CAFile'), read('CertFile'), read('KeyFile')]
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    insecure: ca === undefined || config.InsecureSkipVerify === true,
  }
}

/** Only https is TLS, also with a TLSConfig, and a path after the host counts for nothing: so it is in Docker. */
function endpointOf(address: string, file: string, tls: () => TlsFiles): Endpoint {
  const url = URL.parse(address)
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? ''
  const port = Number(url?.port)
  if (url?.protocol === 'unix:' && url.pathname !== '') return { kind: 'unix', path: decodeURIComponent(url.pathname) }
  if (host !== '' && url?.protocol === 'https:') return { kind: 'tls', host, port: port || 443, tls: tls() }
  if (host !== '' && url?.protocol === 'http:') return { kind: 'tcp', host, port: port || 80 }
  if (host !== '' && url?.protocol === 'tcp:' && port > 0) return { kind: 'tcp', host, port }
  throw new BadSpecification(
    `${file}: ${quote(address)} is no address; write unix:///path, tcp://host:port, http:// or https://`,
  )
}

/** The name of a plugin that is there and may have been meant. */
export function nearDriver(driver: string, { sockets, specs }: PluginDirectories): string | undefined {
  const names = [sockets, ...specs].flatMap((folder) => {
    try {
      return readdirSync(folder).map((name) => name.replace(/\.(sock|spec|json)$/, ''))
    } catch {
      return [] // a folder that is not there has no plugins
    }
  })
  const near = nearest(driver, names)
  return near === driver ? undefined : near
}

export function showEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return endpoint.path
  return `${endpoint.kind === 'tls' ? 'https' : 'tcp'}://${endpoint.host}:${endpoint.port}`
}
