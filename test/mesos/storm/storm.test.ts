/**
 * Storms: a controller, five node daemons and five providers as processes of their own, a double of Mesos that dies where
 * Mesos dies, four frameworks, random operations, and random deaths. HOLDFAST_SCALE or HOLDFAST_STORM_OPS make them longer.
 */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { takeBack } from '../../e2e/support/node-cleanup.ts'
import { needs } from '../../support/missing.ts'
import { scaled } from '../../support/scale.ts'
import { tempDir } from '../../support/temp-dir.ts'
import {
  answersComeIn,
  daemonsEnd,
  everythingIsGivenBack,
  linesAreThere,
  nothingIsLeft,
  volumesAreIdle,
} from './ending.ts'
import { chronicleOf, report } from './report.ts'
import { ROLES, Storm, type StormOptions } from './storm.ts'
import { type StormPool, type SystemOptions, startSystem } from './system.ts'

const OPERATIONS = Number(process.env.HOLDFAST_STORM_OPS ?? scaled(120))
const SEED = Number(process.env.HOLDFAST_STORM_SEED ?? 1)
/** Starts, ends, and an operation in a quarter of a second: what a busy machine needs. */
const TIME_MS = 300_000 + OPERATIONS * 250
/** What fails once in a thousand deaths is what a long storm looks for: it has no second chance. */
const ONCE = { timeout: TIME_MS, retry: OPERATIONS > 1000 ? 0 : 1 }
const KILLS = { logic: 4, node: 4, controller: 3, agent: 3, master: 3 }

needs('root', 'loop-devices', 'mkfs.ext4', 'unshare', 'flock').describe('a storm', () => {
  test('A: with the ACLs, whatever dies but the holders of the streams: nothing of Mesos aborts', ONCE, () =>
    storm('A', { acls: true, pools: pools({ p1: 'never', p2: 'on-exhaustion', p3: 'prompt' }) }, { kills: KILLS }),
  )

  test('B: without the ACLs, frameworks reserve for themselves: nothing of Mesos aborts', ONCE, () =>
    storm('B', { acls: false, pools: pools({}) }, { kills: KILLS, moves: { delete: 2 } }),
  )

  test(
    'C: holders are killed, frameworks torn down, figures fall at once: only the aborts that no provider can prevent',
    ONCE,
    () =>
      storm(
        'C',
        { acls: true, pools: pools({ p1: 'prompt', p2: 'prompt', p3: 'prompt' }) },
        { kills: { ...KILLS, holder: 4, teardown: 3 } },
      ),
  )
})

function pools(shrinks: Readonly<Record<string, 'prompt' | 'on-exhaustion' | 'never'>>): StormPool[] {
  const sizes = [
    { name: 'p1', capacityMiB: 160, iops: 0 },
    { name: 'p2', capacityMiB: 280, iops: 1000 },
    { name: 'p3', capacityMiB: 120, iops: 400 },
  ]
  return sizes.map((pool) => {
    const shrink = shrinks[pool.name]
    return shrink === undefined ? pool : { ...pool, shrink }
  })
}

async function storm(
  name: string,
  wishes: Pick<SystemOptions, 'acls' | 'pools'>,
  options: Omit<StormOptions, 'seed' | 'operations'>,
): Promise<void> {
  const temp = tempDir()
  const closers: (() => Promise<void> | void)[] = []
  let prefix = 'hf-none-'
  onTestFinished(async () => {
    for (const close of closers.splice(0).reverse()) await close()
    keepLogs(temp.path, name)
    takeBack(temp.path, prefix, [temp.path])
    temp.remove()
  }, 60_000)

  const figures: Record<string, number> = { operations: OPERATIONS, seed: SEED }
  const begun = performance.now()
  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now()
    try {
      return await work()
    } finally {
      figures[`${what} (s)`] = Math.round((performance.now() - start) / 100) / 10
    }
  }
  const set = { directory: temp.path, machines: 5, roles: ROLES, ...wishes }
  const system = await timed('start', () => startSystem(set, (close) => closers.push(close)))
  const { installation } = await system.get<{ installation: string }>('/v1/status')
  prefix = `hf-${installation.slice(0, 8)}-`
  const raging = new Storm(system, { ...options, seed: SEED, operations: OPERATIONS })
  closers.push(() => {
    for (const framework of raging.frameworks) framework.close()
  })
  try {
    await timed('storm', () => raging.rage())
    expect(raging.troubles()).toEqual([])
    await timed('answers', () => answersComeIn(raging))
    await timed('release', () => volumesAreIdle(raging))
    Object.assign(figures, await linesAreThere(raging))
    await timed('deletes', () => everythingIsGivenBack(raging))
    await timed('stop', () => daemonsEnd(raging))
    await nothingIsLeft(raging, installation)
    expect(raging.troubles()).toEqual([])
  } finally {
    figures['all (s)'] = Math.round((performance.now() - begun) / 1000)
    report(name, raging, figures)
    writeFileSync(join(temp.path, 'chronicle.log'), chronicleOf(raging))
  }
}

/** For whoever looks into it: HOLDFAST_STORM_LOGS names a folder for the logs of all processes. */
function keepLogs(directory: string, name: string): void {
  const folder = process.env.HOLDFAST_STORM_LOGS
  if (folder === undefined) return
  const target = join(folder, name)
  mkdirSync(target, { recursive: true })
  for (const file of readdirSync(directory)) {
    if (file.endsWith('.log')) copyFileSync(join(directory, file), join(target, file))
  }
}
