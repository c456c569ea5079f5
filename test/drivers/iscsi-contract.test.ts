import { afterAll, beforeAll } from 'vitest'
import { needs } from '../support/missing.ts'
import { startTgt, type TgtServer } from '../support/tgt-server.ts'
import { driverContract, driverLimitsContract } from './contract.ts'
import { ISCSI_PROGRAMS, makeIscsiFixture } from './iscsi-fixture.ts'

const machine = needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', ...ISCSI_PROGRAMS)

machine.describe('the driver iscsi', () => {
  let server: TgtServer

  beforeAll(async () => {
    server = await startTgt()
  })
  afterAll(() => server?.dispose())

  // what is different on files without reflinks is tested by itself: the rest is the same, and the driver loop's
  driverContract('iscsi with files on xfs (reflink)', () => makeIscsiFixture(server, 'xfs'))
  driverLimitsContract('iscsi with files on xfs', () => makeIscsiFixture(server, 'xfs'))
})
