import { needs } from '../support/missing.ts'
import { driverContract } from './contract.ts'
import { makeRexrayFixture } from './rexray-fixture.ts'

const machine = needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs')

machine.describe('the driver rexray', () => {
  driverContract('rexray, as devices', async () => makeRexrayFixture({ settings: { fence: 'detach' }, within: true }))
  driverContract('rexray, as directories', async () =>
    makeRexrayFixture({ settings: { volumes: 'directory' }, within: true }),
  )
})
