import { expect } from 'vitest'
import { holdfast } from '../../cli/holdfast.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { World } from './support/provider-world.ts'
import { rawOffer } from './support/stories.ts'

interface Status {
  readonly cluster?: { readonly agents: readonly { readonly providers: readonly { readonly offeredMiB: number }[] }[] }
}

needs('root', 'loop-devices', 'unshare', 'mkfs.ext4').describe('holdfast mesos status beside a master', () => {
  const { test } = needs('root')

  test('shows what of each provider is in offers that nobody has answered', async () => {
    const world = await World.start({ machines: 1 })
    await world.stopController()
    // it looks at the masters only when it is told where they are
    await world.startController()
    const framework = await world.framework()
    await rawOffer(framework, world.machine(1).agent)
    const asked = world.environment
    const isSeen = async () => {
      const { out } = await holdfast(['mesos', 'status', '-o', 'json'], asked)
      const { cluster } = JSON.parse(out) as Status
      return cluster?.agents.some(({ providers }) => providers.some(({ offeredMiB }) => offeredMiB === 4096)) === true
    }
    await until(isSeen, { what: 'the offer to be seen' })
    expect((await holdfast(['mesos', 'status'], asked)).out).toMatch(/IN OFFERS/)
    expect((await holdfast(['mesos', 'status'], asked)).out).toMatch(/4GiB.*4GiB/)
  })
})
