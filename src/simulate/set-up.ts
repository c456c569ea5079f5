import type { Joined } from '../ledger/nodes.ts'
import type { Pool } from '../model/pool.ts'
import type { Simulated } from './simulated.ts'
import type { Content, PoolSettings } from './storage.ts'

const PATIENCE_MS = 60_000

/** Without any fault: controllers, pools, nodes that reach them, and what others have left on the storage. */
export async function setUp(simulated: Simulated): Promise<void> {
  const { world, hosts, ledger, machines } = simulated
  hosts[0]?.start()
  await world.run(world.time + PATIENCE_MS, () => hosts[0]?.leads === true)
  const flavours = world.random.int(1, 3)
  const selfFence = world.random.chance(0.35)
  const nodes = world.random.int(2, 4)
  let ready = false
  const work = async () => {
    for (let index = 1; index <= nodes; index += 1) await addNode(simulated, index, selfFence)
    for (let index = 1; index <= flavours; index += 1) await addPool(simulated, index, selfFence && index === 1)
    ready = true
  }
  void work()
  const reached = () => ledger.all('node').every((node) => node.reach.length === flavours)
  await world.run(world.time + PATIENCE_MS, () => ready && reached() && ledger.all('pool').every((pool) => pool.marked))
  if (!ready || !reached()) throw new Error(`the world could not be set up (${machines.length} machines)`)
  world.trace('phase', 'the storm begins')
}

async function addNode({ api, addMachine }: Simulated, index: number, watchdog: boolean): Promise<void> {
  const name = `node-${index}`
  const ended = await api.submit({
    kind: 'node.join',
    name,
    joinTokenId: undefined,
    credentialHash: index.toString(16).padStart(64, '0'),
    machineId: name,
    labels: {},
  })
  if (!ended.ok) throw ended.error
  addMachine(name, (ended.answer as Joined).node.id, watchdog).boot()
}

async function addPool({ api, world, storage, machines, foreign }: Simulated, index: number, self: boolean) {
  const { random } = world
  const canFence = !self && random.chance(0.6)
  const settings: PoolSettings = {
    snapshot: random.chance(0.6) ? 'reflink' : 'copy',
    fence: canFence ? 'any' : 'none',
    idempotent: random.chance(0.7) ? ['create', 'snapshot', 'delete'] : [],
    dirty: random.chance(0.3),
  }
  const ended = await api.submit({
    kind: 'pool.create',
    name: `model~sim~pool-${index}`,
    uuid: world.newUuid(),
    driver: 'model',
    settings: {},
    capacityMiB: random.int(2000, 6000),
    iops: random.chance(0.5) ? random.int(500, 3000) : 0,
    overcommitThousandths: random.chance(0.3) ? 1500 : 1000,
    reserveMiB: random.chance(0.3) ? 100 : 0,
    fence: self ? 'self' : canFence ? 'driver' : 'manual',
    labels: {},
    markOn: machines[0]?.nodeId,
  })
  if (!ended.ok) throw ended.error
  const { id } = ended.answer as Pool
  storage.addPool(id, settings)
  const contents: Content[] = [
    { kind: 'fs', type: 'ext4', uuid: world.newUuid(), sizeMiB: 40 },
    { kind: 'other', type: 'LVM2_member' },
    { kind: 'blank' },
  ]
  contents.forEach((content, number) => {
    const name = `theirs-${index}-${number}`
    storage.addForeign(id, name, 50, content)
    foreign.push({ poolId: id, name })
  })
}
