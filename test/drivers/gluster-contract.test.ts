import { afterAll, beforeAll } from 'vitest'
import type { Driver } from '../../src/drivers/driver.ts'
import { GLUSTER_NEEDS } from '../support/gluster.ts'
import { needs } from '../support/missing.ts'
import { type DriverFixture, driverContract, driverLimitsContract } from './contract.ts'
import { GlusterServer, makeGlusterFixture } from './gluster-fixture.ts'

needs(...GLUSTER_NEEDS, 'mkfs.ext4', 'mkfs.btrfs').describe('the driver gluster', () => {
  let server: GlusterServer
  beforeAll(async () => {
    server = await GlusterServer.start()
  })
  afterAll(() => server?.dispose())

  driverContract('gluster, images', () => makeGlusterFixture(server))
  driverLimitsContract('gluster, images', () => makeGlusterFixture(server))
  driverContract('gluster, directories', async () => onlyDirectories(await makeGlusterFixture(server)))
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
