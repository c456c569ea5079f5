import { afterAll, beforeAll } from 'vitest'
import { needs } from '../support/missing.ts'
import { startTgt, type TgtServer } from '../support/tgt-server.ts'
import { driverContract } from './contract.ts'
import { ISCSI_PROGRAMS, makeIscsiFixture } from './iscsi-fixture.ts'

const machine = needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', ...ISCSI_PROGRAMS)

machine.describe('the driver iscsi', () => {
  let server: TgtServer

  beforeAll(async () => {
    server = await startTgt()
  })
  afterAll(() => server?.dispose())

  driverContract('iscsi with files on ext4 (no reflink)', () => makeIscsiFixture(server, 'ext4'))
  driverContract('iscsi with files on xfs (reflink)', () => makeIscsiFixture(server, 'xfs'))
})
