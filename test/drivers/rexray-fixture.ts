/** Storage for tests of the driver rexray: a double of REX-Ray whose disks are real loop devices. */
import { randomUUID } from 'node:crypto'
import type { PoolTarget } from '../../src/drivers/driver.ts'
import { createRexrayDriver } from '../../src/drivers/rexray.ts'
import { readBootId } from '../../src/node/identity.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { createPrograms, type Programs } from '../../src/programs/run.ts'
import { RexrayDouble } from '../support/rexray/rexray-double.ts'
import type { Options } from '../support/rexray/state.ts'
import { tempDir } from '../support/temp-dir.ts'
import type { DriverFixture } from './contract.ts'

/** The double costs nothing, so that nothing has to be spared. */
const QUICK = { callsPerSecond: '1000' }

export interface RexrayFixture extends DriverFixture {
  readonly double: RexrayDouble
  /** The same pool as another machine sees it, with a driver of its own. */
  elsewhere(): { driver: DriverFixture['driver']; pool: PoolTarget }
}

export interface RexrayFixtureOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly double?: Partial<Options>
  /** Whether the double runs in this process: quicker, and nothing hangs or is killed. */
  readonly within?: boolean
}

export function makeRexrayFixture({
  settings = {},
  double: options = {},
  within = false,
}: RexrayFixtureOptions = {}): RexrayFixture {
  const double = new RexrayDouble({ devices: 'loop', ...options })
  const scratch = tempDir()
  const opened: DriverFixture['driver'][] = []
  // the double takes the tag of its parent for the machine
  const open = (machine: string) => {
    const real = createPrograms(undefined, machine === 'vm' ? undefined : machine, [double.directory])
    const programs: Programs = within ? double.within(real, machine) : real
    const filesystems = createFilesystemTools({ programs, scratchDirectory: scratch.path })
    const driver = createRexrayDriver({ programs, filesystems, times: { appearMs: 600, goMs: 4000 } })
    opened.push(driver)
    return { filesystems, driver }
  }
  const pool: PoolTarget = {
    id: 'pool-1',
    name: 'vfs~test~pool',
    uuid: randomUUID(),
    installation: randomUUID(),
    settings: { command: double.command, ...QUICK, ...settings },
    node: { id: 'node-1', bootId: readBootId() },
    handleOf: () => undefined,
  }
  return {
    ...open('vm'),
    ...{ double, pool, scratch: scratch.path, bootId: readBootId() },
    elsewhere: () => {
      const { driver } = open('other')
      return { driver, pool: { ...pool, node: { id: 'node-2', bootId: randomUUID() } } }
    },
    async dispose() {
      await Promise.all(opened.map((driver) => driver.close()))
      double.dispose()
      scratch.remove()
    },
  }
}

/** For tests of the whole system: what a pool and the nodes need, and what is left on the storage. */
export async function makeRexrayBackend(settings: Readonly<Record<string, string>> = {}) {
  const double = new RexrayDouble({ devices: 'loop' })
  return {
    driver: 'rexray',
    settings: { command: double.command, ...QUICK, ...settings },
    nodeOptions: { programDirectories: [double.directory] },
    leftovers: async () => [
      ...double.volumes.map(({ name }) => name).filter((name) => !/^hf-[0-9a-f]{8}-pool-/.test(name)),
      ...double.leftovers(),
    ],
    dispose: async () => double.dispose(),
    double,
  }
}
