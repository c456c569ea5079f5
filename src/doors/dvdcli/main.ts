/** The program `dvdcli`. It ends the process as soon as the answer is written: nothing is waited for. */
import { writeSync } from 'node:fs'
import { type Asked, type Help, readArguments } from './arguments.ts'
import { Commands } from './commands.ts'
import { checkDriver } from './discovery.ts'
import { Failure, failed, oneLine, usage } from './failure.ts'
import { helpText } from './help.ts'
import { Plugin } from './plugin.ts'
import { readSettings } from './settings.ts'
import { versionText } from './version.ts'

/** The isolator of Mesos kills a mount after 120 s (docker/volume/driver.cpp) and then knows no reason. */
const MOUNT_MS = 110_000
const OTHERS_MS = 60_000
const OLDEST_NODE = 24

let waitingFor = 'the command'

function end(code: 0 | 1 | 2, fd: 1 | 2, text: string): never {
  process.exit(write(fd, text) ? code : 1)
}

/** @returns whether all was written */
function write(fd: 1 | 2, text: string): boolean {
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (thrown) {
      // a pipe that is full for now
      if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') return false
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
  return true
}

function fail(thrown: unknown): never {
  const { message } = thrown as Error
  end(thrown instanceof Failure ? thrown.exit : 1, 2, `${oneLine(String(message ?? thrown))}\n`)
}

async function answer(asked: Asked | Help): Promise<string> {
  if ('about' in asked) return helpText(asked.about)
  if (asked.command === 'version') return versionText(process.argv[1] ?? '')
  const settings = readSettings(process.env)
  const driver = asked.driver === '' ? settings.driver : asked.driver
  if (driver === '') {
    throw usage(`${asked.command}: name the driver with --volumedriver, or "driver" in ${settings.file}`)
  }
  checkDriver(driver)
  const timeoutMs = settings.timeoutMs ?? (asked.command === 'mount' ? MOUNT_MS : OTHERS_MS)
  // while the plugin works on the first call: what this takes is not added to what a container waits
  setImmediate(guard, asked, timeoutMs)
  const { directories, waitMs } = settings
  const say = (text: string) => {
    waitingFor = text
  }
  const plugin = new Plugin({ driver, directories, waitMs, waitingFor: say })
  return new Commands({ asked: { ...asked, driver }, settings, plugin, patienceMs: timeoutMs * 0.9 }).run()
}

/** Ends it at the deadline and by a signal, with a sentence. */
function guard(asked: Asked, timeoutMs: number): void {
  setTimeout(() => fail(failed(`${what(asked)}: waited ${timeoutMs / 1000} s for ${waitingFor}`)), timeoutMs)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.once(signal, () => fail(failed(`ended by ${signal} while waiting for ${waitingFor}`)))
  }
}

function what({ command, volume }: Asked): string {
  return volume === '' ? command : `${command} ${volume}`
}

function main(): void {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw failed(
      `dvdcli needs Node ${OLDEST_NODE} or newer and found ${process.version}; run npm ci, or set HOLDFAST_NODE`,
    )
  }
  process.on('uncaughtException', fail)
  answer(readArguments(process.argv.slice(2))).then((text) => end(0, 1, text), fail)
}

try {
  main()
} catch (thrown) {
  fail(thrown)
}
