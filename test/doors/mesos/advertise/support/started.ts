import type { Shown } from '../../../../../src/doors/mesos/advertise/shown.ts'
import { subscribed } from '../../../../../src/doors/mesos/advertise/subscription.ts'
import { wantPool, wantRaw } from '../../../../../src/doors/mesos/advertise/wanted.ts'
import type { Projection } from '../../../../../src/mesos/projection.ts'
import { Driver } from './driver.ts'
import { ADS, projection, raw, WEB } from './wanted.ts'

export const POOL = 'pool-1'

/** An agent that was told of one pool some seconds ago. */
export function started(set: Partial<Projection> = {}): Driver {
  const driver = new Driver()
  driver.do(() => {
    subscribed(driver.agent, POOL)
    wantPool(driver.agent, projection({ raw: [raw(1000)], ...set }), driver.now)
  })
  driver.advance(5000)
  driver.batches.length = 0
  return driver
}

export function sizes(shown: Shown): number[] {
  return shown.raw.map(({ amount }) => amount)
}

export function ids(shown: Shown): string[] {
  return shown.disks.map(({ volumeId }) => volumeId)
}

export function want(driver: Driver, ...sizesMiB: number[]): void {
  const stacks = sizesMiB.map((size, index) => raw(size, index === 0 ? ADS : WEB))
  driver.do(() => wantRaw(driver.agent, POOL, stacks, driver.now))
}
