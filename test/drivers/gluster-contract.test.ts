import { afterAll, beforeAll } from 'vitest'
import type { Driver } from '../../src/drivers/driver.ts'
import { GLUSTER_NEEDS } from '../support/gluster.ts'
import { needs } from '../support/missing.ts'
import { type DriverFixture, driverContract, driverLimitsContract } from './contract.ts'
import { GlusterFixtures } from './gluster-fixture.ts'

needs(...GLUSTER_NEEDS, 'mkfs.ext4', 'mkfs.btrfs').describe('the driver gluster', () => {
  let fixtures: GlusterFixtures
  beforeAll(async () => {
    fixtures = await GlusterFixtures.start()
  })
  afterAll(() => fixtures?.dispose())

  driverContract('gluster, images', () => fixtures.make())
  driverLimitsContract('gluster, images', () => fixtures.make())
  driverContract('gluster, directories', async () => onlyDirectories(await fixtures.make()))
})

/** The half of the driver that makes directories, as a driver of its own. */
function onlyDirectories(fixture: DriverFixture): DriverFixture {
  const { driver } = fixture
  const half: Partial<Driver> = {
    create: (pool, object, sizeMiB, signal) => driver.create(pool, object, sizeMiB, signal, 'directory'),
    probe: async (...args) => {
      const { capabilities, ...sizes } = await driver.probe(...args)
      return {
        capabilities: { ...capabilities, formats: 'backend', block: false, filesystems: ['directory'] },
        ...sizes,
      }
    },
  }
  return { ...fixture, driver: Object.assign(Object.create(driver) as Driver, half) }
}
