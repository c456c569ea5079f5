import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import type { MesosHttp } from './http.ts'
import { isObject, readJson } from './json.ts'
import { masterAddress } from './master-info.ts'

/** The master that leads, as it says itself. */
export interface Master {
  /** `http://10.0.0.1:5050`. */
  readonly url: string
  /** New with every start of a master. */
  readonly id: string
  readonly hostname?: string
  readonly version?: string
}

const MAX_REDIRECTS = 5
/** Of each call: a master that hangs should not hide the others. */
const TIMEOUT_MS = 5000

/**
 * Asks a master who leads, and follows it there: one that does not lead answers 307 with a Location that may lack its
 * scheme (`//host:port/api/v1`, Mesos src/master/http.cpp), the leader answers GET_MASTER.
 * @throws mesos_unreachable (none leads, it is recovering, no answer), mesos_refused, mesos_protocol (a loop, a lie)
 */
export async function findLeader(http: MesosHttp, start: string, signal: AbortSignal): Promise<Master> {
  const visited = new Set<string>()
  let url = start
  for (;;) {
    visited.add(url)
    const answer = await http.post(`${url}/api/v1`, { type: 'GET_MASTER' }, { signal, timeoutMs: TIMEOUT_MS })
    if (answer.status === 200) return confirmed(url, answer.text)
    if (answer.status !== 307) throw refusal(url, answer.status, answer.text)
    const next = redirected(url, answer.location)
    if (visited.has(next)) throw wrong(url, `sends on to ${next}, which has sent on to it`)
    if (visited.size > MAX_REDIRECTS) throw wrong(start, `sent on more than ${MAX_REDIRECTS} times`)
    url = next
  }
}

function confirmed(url: string, text: string): Master {
  const answer = readJson(url, 'GET_MASTER', text)
  const info = isObject(answer.get_master) ? answer.get_master.master_info : undefined
  if (!isObject(info)) throw wrong(url, 'answers GET_MASTER without a master_info')
  const { id, hostname, version } = masterAddress(`the master_info of ${url}`, info)
  return {
    url,
    id,
    ...(hostname === undefined ? {} : { hostname }),
    ...(version === undefined ? {} : { version }),
  }
}

function redirected(from: string, location: string | undefined): string {
  const target = location === undefined ? null : URL.parse(location, from)
  if (target === null) throw wrong(from, `sends on to ${location === undefined ? 'nowhere' : quote(location)}`)
  // the call carries credentials: never from TLS to plain text
  if (target.protocol !== new URL(from).protocol) throw wrong(from, `sends on to another scheme, ${quote(target.href)}`)
  const port = target.port === '' ? (target.protocol === 'https:' ? '443' : '80') : target.port
  return `${target.protocol}//${target.hostname}:${port}`
}

function refusal(url: string, status: number, text: string): HoldfastError {
  // 503: no leader is known, or the leader is still recovering
  const code = status === 503 ? 'mesos_unreachable' : 'mesos_refused'
  const why = status === 401 ? 'principal and secret are missing or wrong' : quote(text)
  return new HoldfastError(code, `${url} answers GET_MASTER with ${status}: ${why}`, { status })
}

function wrong(url: string, what: string): HoldfastError {
  return new HoldfastError('mesos_protocol', `the master at ${url} ${what}`)
}
