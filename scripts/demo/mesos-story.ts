import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../test/support/until.ts'
import { type Audience, allOffered, disksOn, format, table } from './mesos-offers.ts'
import type { MesosMachine, MesosStage } from './mesos-stage.ts'
import { createDisk, printedBy, runTask } from './mesos-takes.ts'
import { POOL, POOL_MIB } from './stage.ts'
import { expect, say, step } from './telling.ts'

const BIG = 750_000_000
const LEFT = POOL_MIB - BIG
const TB = 1_000_000
const POOL_A = 'loop~row8~pool-A'
const POOL_B = 'loop~row8~pool-B'

/** The story of the seed document's slides on Mesos: one pool in the offers of several agents. */
export async function tellOfMesos(scene: MesosStage): Promise<void> {
  await keepOthersOff(scene)
  const ads = { role: 'ads', framework: await scene.connect('ads', 'ads') }
  const web = { role: 'web', framework: await scene.connect('web', 'web') }
  await showOffers(scene, [ads, web])
  const { winner, volumeId } = await raceForTheBigOne(scene, ads, web)
  const writer = await write(scene, winner, volumeId)
  await joinAThird(scene, [ads, web])
  await loseTheWriter(scene, winner, writer, volumeId, [ads, web])
  await takeIops(scene, web)
  await countAgain(scene)
}

/** The machines that are still there. */
function names(scene: MesosStage): string[] {
  return scene.machines.filter(({ agent }) => agent.alive).map(({ agent }) => agent.hostname)
}

async function keepOthersOff(scene: MesosStage): Promise<void> {
  const { stage } = scene
  step('The roles ads and web may use the pool, and the masters keep everybody off what Holdfast has reserved')
  await stage.do('profile', 'set', 'default', '--fs', 'xfs')
  await stage.do('pool', 'set', POOL, '--mesos-roles', 'ads,web')
  const file = join(stage.directory, 'acls.json')
  await stage.do('mesos', 'acls', '--output-file', file)
  const acls: Record<string, unknown> = JSON.parse(readFileSync(file, 'utf8'))
  say(
    `It denies to everybody: ${Object.keys(acls)
      .filter((key) => key !== 'permissive')
      .join(', ')}`,
  )
  say('$ mesos-master --acls=acls.json …   # and the controller is told where the master is')
  await scene.startMesos(acls)
  await until(
    async () => (await stage.json<{ guard: { state: string } }>('mesos', 'status')).guard.state === 'verified',
    {
      ...{ what: 'the controller to verify the ACLs', deadlineMs: 30_000, everyMs: 200 },
    },
  )
}

async function showOffers(scene: MesosStage, audiences: readonly Audience[]): Promise<void> {
  step(`Two agents, one pool of ${format(POOL_MIB)} MiB (the seed's 1,000 TB): what frameworks are offered`)
  const shown = await allOffered(audiences, names(scene), POOL, POOL_MIB)
  await scene.stage.show('mesos', 'status')
  table(names(scene), audiences, [POOL])
  expect(shown, 'each agent offers all of it: alternative #1 of the seed, whose flaw comes next')
}

/** Both at the same moment, through different agents: the ledger grants one, and says why not the other. */
async function raceForTheBigOne(scene: MesosStage, ads: Audience, web: Audience) {
  step(`ads takes ${format(BIG)} MiB through node-1, and web the same through node-2, at the same moment`)
  const wish = { pool: POOL, sizeMiB: BIG, profile: 'default' }
  const attempts = [
    { audience: ads, wish: { ...wish, agent: 'node-1' } },
    { audience: web, wish: { ...wish, agent: 'node-2' } },
  ]
  const ended = await Promise.all(
    attempts.map(async (each) => ({ ...each, status: await createDisk(each.audience, each.wish) })),
  )
  for (const { audience, wish, status } of ended) {
    say(
      `${audience.role} through ${wish.agent}: ${status.state}${status.message === undefined ? '' : `: ${status.message}`}`,
    )
  }
  const won = ended.find(({ status }) => status.state === 'OPERATION_FINISHED')
  const lost = ended.find(({ status }) => status.state === 'OPERATION_FAILED')
  expect(won !== undefined && lost !== undefined, 'one has it, and the other is told why not')
  expect(/250,000,000 MiB/.test(lost?.status.message ?? ''), 'the reason says how much would fit')
  const shrunk = await allOffered([ads, web], names(scene), POOL, LEFT)
  table(names(scene), [ads, web], [POOL])
  expect(shrunk, `both agents offer ${format(LEFT)} MiB now: the pool is counted once`)
  const volumeId = won?.status.converted_resources?.[0]?.disk?.source?.id ?? ''
  const winner = won?.audience ?? ads
  const loser = winner === ads ? web : ads
  const everywhere = () => names(scene).every((name) => disksOn(winner.framework, name).includes(volumeId))
  await until(everywhere, { what: 'the volume to be offered on both agents', deadlineMs: 20_000 })
  const seen = names(scene).some((name) => disksOn(loser.framework, name).length > 0)
  expect(!seen, `the volume, made and formatted, is offered to ${winner.role} on both agents, and to nobody else`)
  return { winner, volumeId }
}

async function write(scene: MesosStage, owner: Audience, volumeId: string): Promise<MesosMachine> {
  const writer = scene.machines[0] as MesosMachine
  const name = writer.agent.hostname
  step(`A task of ${owner.role} writes to it on ${name}`)
  const command = `echo "written on ${name}" > data/where; sync; df -h data | tail -n 1; sleep 3600`
  say(`${name}$ ${command}`)
  const task = await runTask(owner, name, volumeId, command, ['TASK_RUNNING'])
  say(`  ${await until(() => printedBy(writer.agent, task) || undefined, { what: 'the task to write' })}`)
  const others = scene.machines.filter((machine) => machine !== writer).map(({ agent }) => agent.hostname)
  const gone = () => others.every((other) => !disksOn(owner.framework, other).includes(volumeId))
  const hidden = await until(gone, { what: 'the volume to be offered nowhere else', deadlineMs: 20_000 })
  expect(hidden, 'while it is in use, no other agent offers it')
  return writer
}

async function joinAThird(scene: MesosStage, audiences: readonly Audience[]): Promise<void> {
  step('A third agent joins: nobody else has to change (alternative #3)')
  await scene.join('node-3')
  const shown = await allOffered(audiences, names(scene), POOL, LEFT)
  table(names(scene), audiences, [POOL])
  expect(shown, 'it sees what is free, and the others offer what they offered')
}

async function loseTheWriter(
  scene: MesosStage,
  owner: Audience,
  writer: MesosMachine,
  volumeId: string,
  audiences: readonly Audience[],
): Promise<void> {
  const { stage } = scene
  const lost = writer.agent.hostname
  step(`${lost} loses its power, with the task on it (alternative #2: "probably nothing good")`)
  await scene.lose(writer)
  const shown = await allOffered(audiences, names(scene), POOL, LEFT)
  table(names(scene), audiences, [POOL])
  expect(shown, 'the pool is still there, on every other agent')
  const offering = names(scene).filter((name) => disksOn(owner.framework, name).includes(volumeId))
  expect(offering.length === 0, 'the volume is offered nowhere until it is proven that nobody writes to it')
  await stage.show('attachment', 'list')
  await stage.show('mesos', 'doctor')
  say("The node's lease runs out. Another node asks the storage, takes the access away and reads that back:")
  const next = await until(() => names(scene).find((name) => disksOn(owner.framework, name).includes(volumeId)), {
    ...{ what: 'the volume to be offered again', deadlineMs: 60_000, everyMs: 100 },
  })
  await stage.show('operation', 'list', '--kind', 'fence')
  const command = 'cat data/where'
  say(`${next}$ ${command}`)
  const task = await runTask(owner, next, volumeId, command, ['TASK_FINISHED', 'TASK_FAILED'])
  const machine = scene.machines.find(({ agent }) => agent.hostname === next) as MesosMachine
  const printed = printedBy(machine.agent, task)
  say(`  ${printed}`)
  expect(printed === `written on ${lost}`, `the task goes on, on ${next}, with its data`)
}

async function takeIops(scene: MesosStage, web: Audience): Promise<void> {
  const { stage } = scene
  step('IOPS: pool-A has 800 TB and 400 IOPS, pool-B 800 TB and 1000; a framework wants 500 TB with 900 IOPS')
  await stage.do('profile', 'set', 'iops-900', '--fs', 'xfs', '--iops', '900')
  for (const [pool, iops] of [
    [POOL_A, 400],
    [POOL_B, 1000],
  ] as const) {
    await scene.addPool(pool, 800 * TB, iops)
    await stage.do('pool', 'set', pool, '--mesos-roles', 'web')
    await allOffered([web], names(scene), pool, 800 * TB)
  }
  const agent = names(scene)[0] ?? ''
  table([agent], [web], [POOL_A, POOL_B])
  say('pool-A says "iops: 400" in its offer: the framework declines it, and takes from pool-B')
  const wish = { agent, pool: POOL_B, sizeMiB: 500 * TB, profile: 'iops-900' }
  const made = await createDisk(web, wish)
  expect(made.state === 'OPERATION_FINISHED', '500 TB with 900 IOPS come from pool-B')
  await allOffered([web], names(scene), POOL_B, 300 * TB)
  const late = await createDisk(web, { ...wish, sizeMiB: 100 * TB })
  say(`100 TB more of the same: ${late.state}: ${late.message}`)
  expect(late.state === 'OPERATION_FAILED' && /100 IOPS/.test(late.message ?? ''), 'pool-B has MiB left, but no IOPS')
  expect(await allOffered([web], names(scene), POOL_A, 800 * TB), 'pool-A is offered as before')
}

async function countAgain({ stage, mesos }: MesosStage): Promise<void> {
  step('What was counted')
  await stage.show('volume', 'list')
  const { usage } = await stage.json<{ usage: { usedMiB: number; heldMiB: number; freeMiB: number } }>(
    'pool',
    'show',
    POOL,
  )
  const { usedMiB, heldMiB, freeMiB } = usage
  say(
    `used ${format(usedMiB)} MiB + held ${format(heldMiB)} MiB + free ${format(freeMiB)} MiB = ${format(POOL_MIB)} MiB`,
  )
  expect(usedMiB === BIG && freeMiB === LEFT && heldMiB === 0, 'the pool adds up')
  expect(mesos.aborts.length === 0, 'no master and no agent has aborted')
}
