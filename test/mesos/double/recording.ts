/** Messages of a real Mesos, and how they compare with those of the double: all but ids, ports, paths and times. */
import { readFileSync } from 'node:fs'

export function recording<T = unknown>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../recordings/${name}.json`, import.meta.url), 'utf8')) as T
}

const ID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(-[OS]\d+|-\d{4})?/g
const VARYING = new Set(['port', 'executor_pid', 'timestamp', 'nanoseconds', '_t'])

/** @param root where the test has what the recording has below /var/lib/mesos-test */
export function normal(value: unknown, root = '/var/lib/mesos-test'): unknown {
  if (typeof value === 'string') return normalText(value, root)
  if (Array.isArray(value)) return sorted(value.map((item) => normal(item, root)))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => [key, VARYING.has(key) ? '<varies>' : normal(item, root)])
  return Object.fromEntries(entries)
}

function normalText(text: string, root: string): string {
  return text
    .replaceAll(root, '/var/lib/mesos-test')
    .replace(ID, (_all, suffix?: string) =>
      suffix === undefined ? '<uuid>' : `<${suffix.slice(1, 2).replace(/\d/, 'F')}>`,
    )
    .replace(/^[A-Za-z0-9+/]{22}==$/, '<bytes>')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
}

/** Order means nothing in lists of resources, agents, providers. */
function sorted(list: unknown[]): unknown[] {
  const isUnordered = list.every(
    (item) =>
      typeof item === 'object' &&
      item !== null &&
      ['name', 'agent_info', 'resource_provider_info', 'hostname'].some((key) => key in item),
  )
  return isUnordered ? [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : list
}
