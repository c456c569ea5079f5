import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { basename } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { Watchdog } from './self-fence.ts'

/**
 * A watchdog of the kernel (Documentation/watchdog/watchdog-api.rst): opening it arms it, every write feeds it, and
 * writing `V` before closing disarms it where the driver allows that.
 */
export class KernelWatchdog implements Watchdog {
  readonly armed = true
  readonly timeoutMs: number
  readonly #file: number

  /** @param device e.g. `/dev/watchdog0`; its timeout is read from sysfs. @throws invalid_option */
  constructor(device: string, sysfs = '/sys/class/watchdog') {
    try {
      this.timeoutMs = Number(readFileSync(`${sysfs}/${basename(device)}/timeout`, 'utf8')) * 1000
      this.#file = openSync(device, 'w')
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      throw new HoldfastError('invalid_option', `watchdog ${device} cannot be used: ${why}`)
    }
  }

  feed(): void {
    writeSync(this.#file, '1')
  }

  /**
   * Disarms, unless something still relies on it: then the machine is reset if no other life of the daemon feeds it
   * in time.
   */
  close(relied: boolean): void {
    if (!relied) writeSync(this.#file, 'V')
    closeSync(this.#file)
  }
}
