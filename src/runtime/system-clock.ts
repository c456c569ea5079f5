import { readFileSync } from 'node:fs'
import type { Clock } from '../model/clock.ts'

/** The machine's clocks. Node offers no CLOCK_BOOTTIME; /proc/uptime is that clock, in hundredths of a second. */
export const systemClock: Clock = {
  now: () => Date.now(),
  boottime: () => Math.round(Number(readFileSync('/proc/uptime', 'utf8').split(' ', 1)[0]) * 1000),
  after(ms, call) {
    const timer = setTimeout(call, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
