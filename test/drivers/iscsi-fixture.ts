/** Storage for tests of the driver iscsi: a real target daemon, and a pool in a directory on a real filesystem. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { PoolTarget } from '../../src/drivers/driver.ts'
import { createIscsiDriver } from '../../src/drivers/iscsi.ts'
import type { FilesystemType } from '../../src/node/filesystems.ts'
import { readBootId } from '../../src/node/identity.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { createPrograms, type Programs } from '../../src/programs/run.ts'
import { endDaemons, runningDaemons } from '../../src/programs/storage-daemon.ts'
import type { Backend } from '../e2e/support/backend.ts'
import { tempDir } from '../support/temp-dir.ts'
import { startTgt, type TgtServer } from '../support/tgt-server.ts'
import type { DriverFixture } from './contract.ts'
import { type Disk, makeDisk, releaseAll, tool } from './disk.ts'
import { fillUp } from './loop-fixture.ts'

/** Programs that the driver needs. */
export const ISCSI_PROGRAMS = ['tgtd', 'tgtadm', 'qemu-storage-daemon', 'qemu-block-iscsi']

export interface IscsiFixture extends DriverFixture {
  readonly server: TgtServer
  readonly disk: Disk
  readonly directory: string
  readonly programs: Programs
  /** What happened, as the driver told it. */
  readonly log: { event: string; data: Record<string, unknown> }[]
  /** Another driver on the same pool: of another node, or, with its directory, of another life of the same. */
  another(node: PoolTarget['node'], directory?: string): Pick<DriverFixture, 'driver' | 'pool'>
}

export interface IscsiBackend extends Backend {
  readonly server: TgtServer
}

export async function makeIscsiFixture(
  server: TgtServer,
  type: FilesystemType,
  settings: Record<string, string> = {},
): Promise<IscsiFixture> {
  const disk = makeDisk(type, 768)
  const scratch = tempDir()
  const directory = join(disk.directory, 'pool')
  mkdirSync(directory)
  const programs = createPrograms()
  const filesystems = createFilesystemTools({ programs, scratchDirectory: scratch.path })
  const log: IscsiFixture['log'] = []
  const make = (name: string) =>
    createIscsiDriver({
      ...{ programs, filesystems },
      directory: join(scratch.path, name),
      log: (event, data) => log.push({ event, data }),
    })
  const pool: PoolTarget = {
    id: 'pool-1',
    name: 'iscsi~test~disk',
    uuid: randomUUID(),
    installation: randomUUID(),
    settings: { portal: server.portal, control: server.control, directory, ...settings },
    node: { id: 'node-1', bootId: readBootId() },
    handleOf: () => undefined,
  }
  const driver = make('node-1')
  const drivers = [driver]
  return {
    ...{ server, disk, directory, programs, filesystems, log, pool, driver },
    scratch: scratch.path,
    bootId: readBootId(),
    makeReadOnly: async () => disk.remount('ro'),
    fill: async () => fillUp(disk.directory),
    another(node, name = node.id) {
      const driver = make(name)
      drivers.push(driver)
      return { driver, pool: { ...pool, node } }
    },
    async dispose() {
      disk.thaw()
      await releaseDisks(server.portal, scratch.path)
      for (const driver of drivers) await driver.close()
      for (const tid of targetsIn(server, pool.uuid)) {
        server.admin('--op', 'delete', '--force', '--mode', 'target', '--tid', tid)
      }
      disk.dispose()
      scratch.remove()
    },
  }
}

/** Storage of this kind for the tests that are the same for all drivers. */
export async function makeIscsiBackend(settings: Record<string, string> = {}): Promise<IscsiBackend> {
  const server = await startTgt()
  const disk = makeDisk('xfs', 2048)
  const directory = join(disk.directory, 'pool')
  mkdirSync(directory)
  const access = () => {
    const names = existsSync(join(directory, '.holdfast-access'))
      ? readdirSync(join(directory, '.holdfast-access'))
      : []
    const targets = [...server.admin('--op', 'show', '--mode', 'target').matchAll(/^Target \d+: .*$/gm)]
    return [...names, ...targets.map(([line]) => line)]
  }
  return {
    server,
    driver: 'iscsi',
    settings: { portal: server.portal, control: server.control, directory, ...settings },
    async leftovers() {
      const files = readdirSync(directory).filter((name) => !/^\.holdfast-(pool|trial|access)/.test(name))
      // what belongs to an object goes with it
      return files.length > 0 ? files : access()
    },
    async dispose() {
      await endDaemons(
        runningDaemons((daemon) => daemon.portal === server.portal),
        'SIGKILL',
      )
      await server.dispose()
      disk.thaw()
      disk.dispose()
    },
  }
}

/** Removes what a failed test left of disks that were reached by a portal and shown below a directory. */
export async function releaseDisks(portal: string, directory: string): Promise<void> {
  const daemons = runningDaemons((daemon) => daemon.portal === portal)
  await endDaemons(daemons, 'SIGKILL')
  releaseAll(directory)
  for (const line of tool('findmnt', '--noheadings', '--raw', '--output', 'TARGET').split('\n')) {
    if (line.startsWith(`${directory}/`)) tool('umount', '--lazy', line)
  }
}

function targetsIn(server: TgtServer, poolUuid: string): string[] {
  const listing = server.admin('--op', 'show', '--mode', 'target')
  return [...listing.matchAll(/^Target (\d+): (.*)$/gm)].flatMap(([, tid = '', name = '']) =>
    name.includes(poolUuid) ? [tid] : [],
  )
}
