/** The mounts of every mount namespace of this machine, as /proc shows them. Nothing mounted is touched. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type MountedAt, parseMounts } from './mount-table.ts'

export interface NamespaceMount extends MountedAt {
  /** A process in the mount's namespace. */
  readonly pid: number
}

/** Synchronous: /proc answers from memory, and thousands of trips through the thread pool cost more. */
export function mountsOfAllNamespaces(): NamespaceMount[] {
  const seen = new Set<string>()
  const found: NamespaceMount[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const namespace = namespaceOf(name)
    if (namespace === undefined || seen.has(namespace)) continue
    const table = tableOf(name)
    // one that is just ending has none; another process of its namespace may have
    if (table === '') continue
    seen.add(namespace)
    for (const mount of parseMounts(table)) found.push({ ...mount, pid: Number(name) })
  }
  return found
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return undefined // it ended meanwhile
  }
}

function tableOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
  } catch {
    return '' // it ended meanwhile
  }
}
