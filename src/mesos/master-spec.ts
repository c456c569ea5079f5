import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import type { ZooKeeperServer } from './zookeeper-connection.ts'

/** Where to look for the leading master. */
export type MasterSpec =
  | {
      readonly kind: 'zookeeper'
      readonly servers: readonly ZooKeeperServer[]
      /** The node under which masters stand for election, e.g. `/mesos`. */
      readonly path: string
      /** `user:password`. */
      readonly auth?: string
    }
  | { readonly kind: 'masters'; readonly urls: readonly string[] }

const WANTED = 'write zk://host:2181,host2:2181/mesos, or http://host:5050,http://host2:5050'

/**
 * Reads `zk://[user:password@]h1:2181,h2/path` or a list of `http(s)://host:5050`. Ports may be left out (2181, 5050).
 * @throws invalid_option, which never shows a password
 */
export function parseMasterSpec(text: string): MasterSpec {
  if (text.startsWith('zk://')) return parseZooKeeper(text.slice('zk://'.length))
  const urls = text.split(',').map((each) => masterUrl(each.trim()))
  return { kind: 'masters', urls: [...new Set(urls)] }
}

function parseZooKeeper(text: string): MasterSpec {
  const at = text.lastIndexOf('@')
  const auth = at === -1 ? undefined : text.slice(0, at)
  if (auth !== undefined && !/^[^:]+:.+$/s.test(auth)) throw wrong('what is before @ should be user:password')
  const place = text.slice(at + 1)
  const slash = place.indexOf('/')
  if (slash === -1) throw wrong(`zk://${quote(place)} has no path, such as /mesos`)
  const path = place.slice(slash)
  if (!/^(\/[^/\s]+)+$/.test(path)) throw wrong(`the path ${quote(path)} is none of ZooKeeper`)
  const servers = place.slice(0, slash).split(',').map(server)
  return { kind: 'zookeeper', servers, path, ...(auth === undefined ? {} : { auth }) }
}

function server(text: string): ZooKeeperServer {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3] ?? 2181)
  if (host === undefined || port < 1 || port > 65_535) throw wrong(`${quote(text)} is no host and port`)
  return { host, port }
}

function masterUrl(text: string): string {
  const url = URL.parse(text)
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url === null || !isWeb) throw wrong(`${quote(text.replace(/\/\/[^/]*@/, '//'))} is no http(s) address`)
  if (url.username !== '' || url.password !== '') throw wrong('credentials belong into their own setting')
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw wrong(`${quote(text)} should end at its port`)
  // an address with the port that its scheme has anyway loses it in URL.port
  const port = url.port !== '' ? url.port : (/:(\d+)\/?$/.exec(text)?.[1] ?? '5050')
  return `${url.protocol}//${url.hostname}:${port}`
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('invalid_option', `masters: ${why}; ${WANTED}`)
}
