import { afterAll, beforeAll } from 'vitest'
import { needs } from '../support/missing.ts'
import { driverContract } from './contract.ts'
import { CsiStorage, makeCsiFixture } from './csi-fixture.ts'

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs').describe(
  'the driver csi on our own plugin',
  () => {
    let storage: CsiStorage
    beforeAll(async () => {
      storage = await CsiStorage.start()
    })
    afterAll(() => storage?.dispose())

    driverContract('block devices', () => makeCsiFixture(storage, { fence: 'unpublish' }))
  },
)
