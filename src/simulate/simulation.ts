import { MemoryDisk } from '../store/memory.ts'
import { ApiClient } from './api-client.ts'
import { ControllerHost } from './controller-host.ts'
import { DurableLedger } from './durable-ledger.ts'
import { deleteAll, makeRoom } from './ending.ts'
import { Faults } from './faults.ts'
import { Machine } from './machine.ts'
import { Network } from './network.ts'
import { Operator } from './operator.ts'
import { PROFILES, type Profile } from './profiles.ts'
import { Promises } from './promises.ts'
import { setUp } from './set-up.ts'
import { emptied, settled } from './settled.ts'
import type { SessionWatch } from './sim-link.ts'
import type { Moods, Simulated } from './simulated.ts'
import { Storage, type StoredObject } from './storage.ts'
import { CountsWatch } from './watch-counts.ts'
import { DiskWatch } from './watch-disk.ts'
import { Workload } from './workload.ts'
import { Violation, World } from './world.ts'

const INSTALLATION = '5eed0000-0000-4000-8000-000000000000'
const LEASE_MS = 15_000
/** Virtual ms: with faults, and then at most until all is quiet. */
const STORM_MS = 90_000
const CALM_MS = 600_000

export interface SimulationOptions {
  readonly seed: number
  /** Default: chosen by the seed. */
  readonly profile?: string | undefined
  readonly onLine?: ((line: string) => void) | undefined
}

export interface SimulationResult {
  readonly seed: number
  readonly profile: string
  /** What was wrong; undefined when nothing was. */
  readonly violation: string | undefined
  /** The newest lines of the trace. */
  readonly lines: readonly string[]
  /** Of the whole trace: the same for the same seed. */
  readonly digest: string
  readonly events: number
  readonly actions: number
  readonly revision: number
  /** Virtual ms that the run took. */
  readonly time: number
}

/** Runs the whole system under one seed, and says what was wrong, if anything was. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const world = new World(options.seed, options.onLine)
  const profile = chooseProfile(world, options.profile)
  const simulated = assemble(world, profile)
  const stray = (reason: unknown) =>
    world.fail(`a promise was left alone with ${reason instanceof Error ? reason.stack : String(reason)}`)
  process.on('unhandledRejection', stray)
  let violation: string | undefined
  try {
    await play(simulated)
  } catch (thrown) {
    if (!(thrown instanceof Violation)) throw thrown
    violation = thrown.message
  } finally {
    process.off('unhandledRejection', stray)
  }
  const { lines, digest, events, time } = world
  const { actions } = simulated.workload
  const { revision } = simulated.ledger
  return { seed: options.seed, profile: profile.name, violation, lines, digest, events, actions, revision, time }
}

function chooseProfile(world: World, name: string | undefined): Profile {
  const chosen = world.random.pick(PROFILES) as Profile
  if (name === undefined) return chosen
  const asked = PROFILES.find((profile) => profile.name === name)
  if (asked === undefined)
    throw new Error(`there is no profile ${name}; there are ${PROFILES.map((each) => each.name).join(', ')}`)
  return asked
}

function assemble(world: World, profile: Profile): Simulated {
  const disk = new MemoryDisk(INSTALLATION)
  const ledger = new DurableLedger(disk)
  const network = new Network(world)
  const storage = new Storage(world)
  const machines: Machine[] = []
  const fail = (message: string) => world.fail(message)
  const kernelOf = (nodeId: string) => machines.find((machine) => machine.nodeId === nodeId)?.kernel
  const watch = new DiskWatch(ledger, kernelOf, fail)
  new CountsWatch(ledger, fail)
  const promises = new Promises(ledger, fail)
  storage.watch = watch
  world.watch(() => {
    const wrong = ledger.follow()
    if (wrong !== undefined) world.fail(wrong)
  })
  const moods: Moods = { storage: { fail: 0, lost: 0, hang: 0, slowness: 20 }, store: { fault: 0, slowness: 2 } }
  const hosts = ['ctl-1', 'ctl-2'].map(
    (name) =>
      new ControllerHost({
        world,
        name,
        disk,
        leaseMs: LEASE_MS,
        mood: moods.store,
        onBatch: (batch) => ledger.took(batch),
      }),
  )
  const api = new ApiClient({ world, hosts, network, disk })
  const foreign: { poolId: string; name: string }[] = []
  const acknowledged = new Map<StoredObject, Set<string>>()
  const workload = new Workload({
    world,
    ledger,
    api,
    machines,
    promises,
    foreign,
    crowded: profile.crowded,
    containers: { world, storage, watch, acknowledged },
  })
  const faults = new Faults({ world, profile, machines, hosts, network, disk, poolIds: () => storage.poolIds })
  const operator = new Operator({ world, ledger, api, machines })
  const kernelByBoot = (bootId: string) =>
    machines.find((machine) => machine.kernel.bootId === bootId && machine.on)?.kernel
  const sessions: SessionWatch = {
    isCurrent: (nodeId, session, term) =>
      term === disk.head.term ? ledger.get('node', nodeId)?.session === session : undefined,
    isVoid: ({ attachmentId, epoch, claims }) => {
      const attachment = ledger.get('attachment', attachmentId)
      return attachment !== undefined && (attachment.epoch !== epoch || attachment.claims !== claims)
    },
    fail,
  }
  ledger.watch(({ events }) => {
    for (const { type, subject } of events) {
      const machine = machines.find(({ nodeId }) => nodeId === subject.id)
      if (type === 'node.lost' && machine?.leased) fail(`I4: ${machine.name} counts as lost, and counts on its lease`)
    }
  })
  const addMachine = (name: string, nodeId: string, watchdog: boolean) => {
    const parts = { world, name, nodeId, storage, network, hosts, watch, kernelByBoot, watchdog, sessions }
    const machine = new Machine({ ...parts, mood: moods.storage, leaseMs: LEASE_MS })
    machine.busy = (target) =>
      [...workload.containers].some(
        (each) => each.machine === machine && each.state === 'mounted' && each.path === target,
      )
    machines.push(machine)
    return machine
  }
  const parts = {
    world,
    profile,
    disk,
    ledger,
    storage,
    network,
    hosts,
    machines,
    api,
    faults,
    workload,
    operator,
    promises,
  }
  return { ...parts, addMachine, foreign, moods }
}

async function play(simulated: Simulated): Promise<void> {
  const { world, profile, faults, workload, network, moods, operator } = simulated
  await setUp(simulated)
  Object.assign(network, profile.network)
  Object.assign(moods.storage, profile.storage)
  Object.assign(moods.store, profile.store)
  faults.start()
  operator.start()
  workload.start(profile.clients.count, profile.clients.pauseMs)
  await world.run(world.time + STORM_MS)
  world.trace('phase', 'the storm ends')
  workload.stop()
  Object.assign(moods.storage, { fail: 0, lost: 0, hang: 0, slowness: 20 })
  Object.assign(moods.store, { fault: 0, slowness: 2 })
  faults.heal()
  await makeRoom(simulated)
  await untilSettled(simulated, 'after the storm')
  world.trace('phase', 'all containers end')
  for (const container of workload.containers) container.stopping = true
  await world.run(world.time + CALM_MS, () => workload.containers.size === 0)
  await untilSettled(simulated, 'when all containers have ended')
  world.trace('phase', 'everything is deleted')
  // a copy of a request may still come to pass, and make something anew
  for (let rounds = 0; rounds < 20; rounds += 1) {
    if (await isEmptied(simulated)) return
    await deleteAll(simulated)
  }
  await untilSettled(simulated, 'when everything is deleted', emptied)
}

async function isEmptied(simulated: Simulated): Promise<boolean> {
  await simulated.world.run(simulated.world.time + 4000)
  return emptied(simulated).length === 0
}

/** Everything that is under way comes to an end, and then the disks are as the ledger says. */
async function untilSettled(simulated: Simulated, when: string, look = settled): Promise<void> {
  const { world } = simulated
  const until = world.time + CALM_MS
  let wrong = ['nothing was looked at']
  while (world.time < until) {
    await world.run(world.time + 5000)
    wrong = look(simulated)
    if (wrong.length === 0) return
  }
  world.fail(`${when}: ${wrong.join('; ')}`)
  throw world.violation
}
