import { needs } from '../support/missing.ts'
import { driverContract, driverLimitsContract } from './contract.ts'
import { makeLoopFixture } from './loop-fixture.ts'

const machine = needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs')

machine.describe('the driver loop', () => {
  driverContract('loop on ext4 (no reflink)', () => makeLoopFixture('ext4'))
  driverLimitsContract('loop on ext4 (no reflink)', () => makeLoopFixture('ext4'))
  driverContract('loop on xfs (reflink)', () => makeLoopFixture('xfs'))
  driverLimitsContract('loop on xfs (reflink)', () => makeLoopFixture('xfs'))
  driverContract('loop on btrfs (reflink)', () => makeLoopFixture('btrfs'))
  driverLimitsContract('loop on btrfs (reflink)', () => makeLoopFixture('btrfs'))
})
