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
      const { cluster } = JSON.parse((await holdfast(['mesos', 'status', '-o', 'json'], asked)).out) as Status
      return cluster?.agents.some(({ providers }) => providers.some(({ offeredMiB }) => offeredMiB === 4096)) === true
    }
    await until(isSeen, { what: 'the offer to be seen' })
    // offers come and go while figures settle
    const isShown = async () => /IN OFFERS[\s\S]*4GiB.*4GiB/.test((await holdfast(['mesos', 'status'], asked)).out)
    await until(isShown, { what: 'the offer to be in the table' })
  })
})
