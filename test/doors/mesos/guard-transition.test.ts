import { expect } from 'vitest'
import { requiredAcls } from '../../../src/mesos/acls.ts'
import type { Resource } from '../../../src/mesos/resource.ts'
import { contains } from '../../../src/mesos/resources.ts'
import type { TestFramework } from '../../support/mesos/framework.ts'
import type { Offer, OfferOperation } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { isRaw, World } from './support/provider-world.ts'
import { makeDisk, volumeIdOf } from './support/stories.ts'

const acls = requiredAcls({ principal: 'holdfast', roles: ['ads'] })

interface MesosAnswer {
  readonly guard: { readonly state: string }
}

/** The world of the stories, with a controller that watches the masters by itself. */
async function watched(): Promise<World> {
  const world = await World.start()
  await world.stopController()
  await world.startController()
  return world
}

async function guardIs(world: World, state: string): Promise<void> {
  const guard = async () => (await world.rest.rest<MesosAnswer>('GET', '/v1/mesos')).guard.state
  await until(async () => (await guard()) === state, { what: `the guard to be ${state}`, deadlineMs: 20_000 })
}

/** What each agent has been told by its provider. */
function totals(world: World): Resource[][] {
  return world.mesos.agents.map(({ state }) => [...state.providers.values()].flatMap(({ total }) => [...total]))
}

function isUnreserved(resource: Resource): boolean {
  return isRaw(resource) && (resource.reservations ?? []).length === 0
}

/** Reserved by the hostile framework. */
function isTheirs({ reservations = [] }: Resource): boolean {
  return reservations.some(({ principal }) => principal === 'hostile')
}

/** Accepts every offer with what a provider cannot refuse, for so long. */
async function storm(framework: TestFramework, forMs: number): Promise<number> {
  const end = performance.now() + forMs
  let count = 0
  while (performance.now() < end) {
    for (const offer of [...framework.offers.values()]) {
      const operations = hostileTo(offer, count)
      if (operations.length === 0) continue
      await framework.accept([offer], operations)
      count += 1
    }
    await framework.revive()
    await new Promise((resolve) => setTimeout(resolve, 40))
  }
  return count
}

function hostileTo({ resources }: Offer, count: number): OfferOperation[] {
  const theirs = resources.filter(({ provider_id: provider }) => provider !== undefined)
  const volume = theirs.find(({ disk }) => disk?.persistence !== undefined)
  const reserved = theirs.find((each) => isRaw(each) && (each.reservations ?? []).length > 0)
  const free = theirs.find(isUnreserved)
  const id = (what: string) => ({ value: `${what}-${count}` })
  if (volume !== undefined && count % 2 === 0) {
    return [{ type: 'DESTROY', id: id('destroy'), destroy: { volumes: [volume] } }]
  }
  if (reserved !== undefined && count % 3 !== 0) {
    const some = { ...reserved, scalar: { value: 8 } }
    return [{ type: 'UNRESERVE', id: id('unreserve'), unreserve: { resources: [some] } }]
  }
  if (free === undefined) return []
  const reservation = { type: 'DYNAMIC', role: 'ads', principal: 'hostile' } as const
  const some = { ...free, scalar: { value: 8 }, reservations: [reservation] }
  return [{ type: 'RESERVE', id: id('reserve'), reserve: { resources: [some] } }]
}

needs('root', 'loop-devices', 'unshare', 'mkfs.ext4').describe('when the guard falls', () => {
  const { test } = needs('root')

  test('nothing that an agent shows is taken away, and hostile frameworks abort nothing', async () => {
    const world = await watched()
    await guardIs(world, 'verified')
    const framework = await world.framework({ principal: 'tame' })
    const agent = world.machine(1).agent
    const volumes = [
      volumeIdOf(await makeDisk(framework, agent, 'one')),
      volumeIdOf(await makeDisk(framework, agent, 'two')),
    ]
    const showsAll = (total: Resource[]) => volumes.every((id) => total.some(({ disk }) => disk?.source?.id === id))
    await until(() => totals(world).every(showsAll), { what: 'both volumes on both agents', deadlineMs: 20_000 })
    const isSettled = () =>
      totals(world).every((total) => total.some((each) => isRaw(each) && each.scalar?.value === 4096 - 128))
    await until(isSettled, { what: 'what is free on both agents', deadlineMs: 20_000 })
    const before = totals(world)
    framework.disconnect()
    await world.mesos.master.restart({ acls: undefined })
    await guardIs(world, 'absent')
    await until(() => totals(world).every((total) => total.some(isUnreserved)), {
      what: 'capacity that is not reserved',
      deadlineMs: 20_000,
    })
    for (const [index, total] of totals(world).entries()) expect(contains(total, before[index] ?? [])).toBe(true)
    const stranger = await world.framework({ name: 'stranger', principal: 'hostile' })
    expect(await storm(stranger, 5000)).toBeGreaterThan(10)
    expect(world.mesos.aborts).toEqual([])
    // it was no idle threat
    expect(totals(world).flat().some(isTheirs)).toBe(true)
    stranger.disconnect()
    // and with the ACLs it goes back to what it was, as far as nobody has changed it
    await world.mesos.master.restart({ acls })
    await guardIs(world, 'verified')
    await until(() => totals(world).every((total) => !total.some(isUnreserved)), {
      what: 'all capacity to be reserved again',
      deadlineMs: 30_000,
    })
    expect(world.mesos.aborts).toEqual([])
  }, 120_000)
})
