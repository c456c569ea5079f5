/** Time as the parts see it; the deterministic simulation stands its own behind it. */
export interface Clock {
  /** Wall clock, ms since 1970. It may jump. */
  now(): number
  /** CLOCK_BOOTTIME in ms: counts while the machine is suspended, never jumps, starts anew at boot. */
  boottime(): number
  /** Calls once after `ms`; returns what cancels it. Does not keep a process alive. */
  after(ms: number, call: () => void): () => void
}
