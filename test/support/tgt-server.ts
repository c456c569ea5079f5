/** A real iSCSI target daemon (tgtd) on the loopback address, which a test can kill, stop and start again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { tool } from '../drivers/disk.ts'
import { tempDir } from './temp-dir.ts'
import { until } from './until.ts'

export interface TgtServer {
  readonly portal: string
  /** Path of its control socket. */
  readonly control: string
  /** What `tgtadm` prints. */
  admin(...words: string[]): string
  signal(name: NodeJS.Signals): void
  runs(): boolean
  /** SIGKILL; returns when it is gone. Targets are gone with it. */
  kill(): Promise<void>
  /** Starts it again, on the same portal. */
  start(): Promise<void>
  dispose(): Promise<void>
}

export async function startTgt(): Promise<TgtServer> {
  const temp = tempDir()
  const base = join(temp.path, 'tgt')
  const portal = `127.0.0.1:${await freePort()}`
  let child: ChildProcess | undefined
  const admin = (...words: string[]) => tool('env', `TGT_IPC_SOCKET=${base}`, 'tgtadm', '--lld', 'iscsi', ...words)

  async function kill(): Promise<void> {
    const running = child
    child = undefined
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const gone = once(running, 'exit')
    running.kill('SIGKILL')
    await gone
  }

  async function start(): Promise<void> {
    rmSync(`${base}.0`, { force: true })
    const env = { ...process.env, TGT_IPC_SOCKET: base }
    child = spawn('tgtd', ['-f', '--iscsi', `portal=${portal}`], { stdio: 'ignore', env })
    await until(() => admin('--op', 'show', '--mode', 'system').includes('iscsi'), { what: 'tgtd to answer' })
  }

  const dispose = async () => {
    await kill()
    temp.remove()
  }
  try {
    await start()
  } catch (thrown) {
    await dispose()
    throw thrown
  }
  return {
    portal,
    control: `${base}.0`,
    admin,
    signal: (name) => void child?.kill(name),
    runs: () => child !== undefined,
    kill,
    start,
    dispose,
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return address.port
}
