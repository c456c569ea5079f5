import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { isObject } from './json.ts'

/** What is taken of MasterInfo (include/mesos/mesos.proto): where a master listens, and who it is. */
export interface MasterAddress {
  readonly id: string
  readonly port: number
  /** An IP address, and a name that others may not be able to resolve; one of them is there. */
  readonly ip?: string
  readonly hostname?: string
  readonly version?: string
}

/**
 * @param what where it was found, for messages
 * @throws mesos_protocol
 */
export function readMasterInfo(what: string, text: string): MasterAddress {
  try {
    const info: unknown = JSON.parse(text)
    if (isObject(info)) return masterAddress(what, info)
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown
  }
  throw wrong(what, `it is no JSON object: ${quote(text)}`)
}

/** @throws mesos_protocol */
export function masterAddress(what: string, info: Readonly<Record<string, unknown>>): MasterAddress {
  const address = isObject(info.address) ? info.address : {}
  const { id } = info
  if (typeof id !== 'string' || id === '') throw wrong(what, 'it has no id')
  const port = address.port ?? info.port
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw wrong(what, `its port is ${String(port)}`)
  }
  const ip = oneOf(/^[0-9a-fA-F:.]+$/, [address.ip])
  const hostname = oneOf(/^[A-Za-z0-9_.-]+$/, [address.hostname, info.hostname])
  if (ip === undefined && hostname === undefined) throw wrong(what, 'it has neither an IP address nor a host name')
  const version = oneOf(/./, [info.version])
  return {
    id,
    port,
    ...(ip === undefined ? {} : { ip }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(version === undefined ? {} : { version }),
  }
}

/** With TLS the name comes first, since certificates are made out to names; else the address, which needs no resolver. */
export function masterUrls(scheme: 'http' | 'https', { ip, hostname, port }: MasterAddress): string[] {
  const hosts = scheme === 'https' ? [hostname, ip] : [ip, hostname]
  return hosts
    .filter((host) => host !== undefined)
    .map((host) => `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`)
}

function oneOf(pattern: RegExp, candidates: readonly unknown[]): string | undefined {
  return candidates.find((each): each is string => typeof each === 'string' && pattern.test(each))
}

function wrong(what: string, why: string): HoldfastError {
  return new HoldfastError('mesos_protocol', `${what} is no MasterInfo: ${why}`)
}
