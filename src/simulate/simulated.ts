import type { MemoryDisk } from '../store/memory.ts'
import type { ApiClient } from './api-client.ts'
import type { StorageMood } from './calls.ts'
import type { ControllerHost, StoreMood } from './controller-host.ts'
import type { DurableLedger } from './durable-ledger.ts'
import type { Faults } from './faults.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import type { Operator } from './operator.ts'
import type { Profile } from './profiles.ts'
import type { Promises } from './promises.ts'
import type { Storage } from './storage.ts'
import type { Workload } from './workload.ts'
import type { World } from './world.ts'

/** Everything of one run. */
export interface Simulated {
  readonly world: World
  readonly profile: Profile
  readonly disk: MemoryDisk
  readonly ledger: DurableLedger
  readonly storage: Storage
  readonly network: Network
  readonly hosts: readonly ControllerHost[]
  readonly machines: Machine[]
  readonly api: ApiClient
  readonly faults: Faults
  readonly workload: Workload
  readonly operator: Operator
  readonly promises: Promises
  readonly addMachine: (name: string, nodeId: string, watchdog: boolean) => Machine
  readonly foreign: { poolId: string; name: string }[]
  readonly moods: Moods
}

/** How storage and store behave just now; the storm changes it. */
export interface Moods {
  readonly storage: StorageMood
  readonly store: StoreMood
}
