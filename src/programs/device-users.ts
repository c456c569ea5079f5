/** Who keeps a mount or a device busy, as far as /proc tells. For messages only: it reads names and decides nothing. */
import { readdir, readFile, readlink } from 'node:fs/promises'

const AT_MOST = 5

/** Processes with a working directory, root or open file below a mount point, as `name (pid)`. */
export async function usersOfMount(target: string): Promise<string[]> {
  return await users(async (pid) => await someLink(pid, (path) => path === target || path.startsWith(`${target}/`)))
}

/** Processes that have a device open, or whose mount namespace has it mounted. */
export async function usersOfDevice(device: string): Promise<string[]> {
  return await users(async (pid) => (await someLink(pid, (path) => path === device)) || (await mounted(pid, device)))
}

async function users(uses: (pid: string) => Promise<boolean>): Promise<string[]> {
  const found: string[] = []
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    if (!(await uses(pid))) continue
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?')
    found.push(`${name.trim()} (${pid})`)
    if (found.length === AT_MOST) break
  }
  return found
}

async function someLink(pid: string, matches: (path: string) => boolean): Promise<boolean> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = [`/proc/${pid}/cwd`, `/proc/${pid}/root`, ...fds.map((fd) => `/proc/${pid}/fd/${fd}`)]
  for (const link of links) {
    if (matches(await readlink(link).catch(() => ''))) return true
  }
  return false
}

async function mounted(pid: string, device: string): Promise<boolean> {
  const table = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')
  return table.includes(` ${device} `)
}
