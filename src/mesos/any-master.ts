import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import type { Flags } from './hazards.ts'
import type { MesosHttp } from './http.ts'
import { isObject } from './json.ts'
import { findLeader } from './leading-master.ts'

/** Of each call: several masters are asked one after the other. */
const TIMEOUT_MS = 5000

/**
 * The flags of a master, whether it leads or not: the old endpoint is answered by every master itself, where the
 * operator API sends on to the leading one (Mesos src/master/http.cpp, `flags` and `api`).
 * @throws mesos_unreachable, mesos_refused, mesos_protocol
 */
export async function flagsOfMaster(http: MesosHttp, base: string): Promise<Flags> {
  const url = `${base}/flags`
  const { status, text } = await http.get(url, { timeoutMs: TIMEOUT_MS })
  if (status === 401) throw refused(url, 'principal and secret are missing or wrong')
  if (status === 403) throw refused(url, 'the principal may not view flags')
  if (status !== 200) throw refused(url, `it answers ${status}: ${quote(text)}`)
  const flags = parsed(text)
  if (flags === undefined) throw new HoldfastError('mesos_protocol', `${url} answers with no flags: ${quote(text)}`)
  return new Map(Object.entries(flags).map(([name, value]) => [name, String(value)]))
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) && isObject(value.flags) ? value.flags : undefined
  } catch {
    return undefined
  }
}

function refused(url: string, why: string): HoldfastError {
  return new HoldfastError('mesos_refused', `${url}: ${why}`)
}

export interface OneMaster {
  /** One of its addresses. */
  readonly url: string
  readonly flags?: Flags
  /** Why it did not tell its flags. */
  readonly trouble?: string
}

/** Asks a master at the first of its addresses that answers. */
export async function askMaster(http: MesosHttp, addresses: readonly string[]): Promise<OneMaster> {
  let trouble = ''
  for (const url of addresses) {
    try {
      return { url, flags: await flagsOfMaster(http, url) }
    } catch (thrown) {
      trouble ||= asHoldfastError(thrown).message
    }
  }
  return { url: addresses[0] ?? '', trouble }
}

/** Whether a master at one of these addresses is the one with this id, known by another name. */
export async function isSameMaster(http: MesosHttp, addresses: readonly string[], id: string): Promise<boolean> {
  for (const url of addresses) {
    const found = await findLeader(http, url, new AbortController().signal).catch(() => undefined)
    if (found !== undefined) return found.url === url && found.id === id
  }
  return false
}
