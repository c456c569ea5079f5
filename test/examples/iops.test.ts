import { afterEach, expect, test } from 'vitest'
import { rawOf } from '../../examples/mesos-framework/offers.ts'
import { TestFramework } from '../support/mesos/framework.ts'
import type { Offer, OperationStatus, Resource } from '../support/mesos/types.ts'
import { MESOS_WORLD_NEEDS, type MesosWorld, startWorld } from '../support/mesos-world.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'

const TB = 1_000_000
const A = 'loop~row8~pool-A'
const B = 'loop~row8~pool-B'

needs(...MESOS_WORLD_NEEDS, 'mkfs.xfs').describe('capacity and IOPS are taken together', () => {
  let world: MesosWorld
  let framework: TestFramework

  afterEach(async () => {
    await framework?.teardown()
    await world?.stop()
  }, 60_000)

  test("the seed's example: 500 TB with 900 IOPS of a pool with 1000, not of one with 400", async () => {
    world = await startWorld({ agents: [{}], guardedRoles: ['x'] })
    const { link } = world
    await link.rest('PUT', '/v1/profiles/iops-900', { fs: 'xfs', iops: 900 })
    await world.addLargePool(A, { capacityMiB: 800 * TB, iops: 400 })
    await world.addLargePool(B, { capacityMiB: 800 * TB, iops: 1000 })
    await world.showPool({ roles: ['x'] }, A)
    await world.showPool({ roles: ['x'] }, B)
    framework = await TestFramework.connect(world.mesos.master.url, { name: 'x', roles: ['x'] })

    // with nothing but this profile, pool A can back nothing: it is not even offered
    const wish = { sizeMiB: 500 * TB, iops: 900 }
    const first = await offered((resource) => rawIn(resource, 'pool-B') === 800 * TB)
    expect(first.resources.some((resource) => labelOf(resource, 'pool') === 'pool-A')).toBe(false)

    // with a modest one it is, and says that it has too few IOPS in all
    await link.rest('PUT', '/v1/profiles/modest', { fs: 'xfs', iops: 100 })
    const ofA = await offered((resource) => rawIn(resource, 'pool-A') === 800 * TB)
    expect(rawOf(only(ofA, 'pool-A'), wish)).toBeUndefined()
    const early = await createDisk('early', 'pool-A', 500 * TB, 'iops-900')
    expect(early).toMatchObject({
      state: 'OPERATION_FAILED',
      message: expect.stringMatching(/takes 900 IOPS.* 400 IOPS/),
    })

    const ofB = await offered((resource) => rawIn(resource, 'pool-B') === 800 * TB)
    expect(rawOf(only(ofB, 'pool-B'), wish)).toBeDefined()
    const made = await createDisk('made', 'pool-B', 500 * TB, 'iops-900')
    expect(made.state).toBe('OPERATION_FINISHED')

    // 300 TB are left, and 100 IOPS: enough for the modest profile, not for this one
    await offered((resource) => rawIn(resource, 'pool-B') === 300 * TB)
    const late = await createDisk('late', 'pool-B', 100 * TB, 'iops-900')
    expect(late).toMatchObject({
      state: 'OPERATION_FAILED',
      message: expect.stringMatching(/takes 900 IOPS.* 100 IOPS/),
    })
    await link.rest('DELETE', '/v1/profiles/modest')
    await until(() => all().every((resource) => rawIn(resource, 'pool-B') === 0), {
      what: 'nothing of pool B to be left',
    })
    expect(world.mesos.aborts).toEqual([])
  }, 120_000)

  function all(): Resource[] {
    return [...framework.offers.values()].flatMap(({ resources }) => resources)
  }

  function offered(fits: (resource: Resource) => boolean): Promise<Offer> {
    return framework.waitOffer(({ resources }) => resources.some(fits), 20_000)
  }

  /** @returns the end of a CREATE_DISK on what is offered of a pool */
  async function createDisk(id: string, pool: string, sizeMiB: number, profile: string): Promise<OperationStatus> {
    for (let attempt = 1; ; attempt++) {
      const offer = await offered((resource) => rawIn(resource, pool) >= sizeMiB)
      const raw = offer.resources.find((resource) => rawIn(resource, pool) >= sizeMiB) as Resource
      const source = { ...raw, scalar: { value: sizeMiB } }
      const create_disk = { source, target_type: 'MOUNT', target_profile: profile } as const
      const operation = { value: `${id}-${attempt}` }
      await framework.accept([offer], [{ type: 'CREATE_DISK', id: operation, create_disk }])
      const status = await framework.operationStatus(operation.value, 40_000)
      // the offer was out of date: the next one serves
      if (status.state !== 'OPERATION_DROPPED' && status.state !== 'OPERATION_ERROR') return status
    }
  }
})

/** MiB of capacity of a pool; 0 when the resource is something else. */
function rawIn(resource: Resource, pool: string): number {
  const isPool = resource.disk?.source?.type === 'RAW' && labelOf(resource, 'pool') === pool
  return isPool ? (resource.scalar?.value ?? 0) : 0
}

function labelOf(resource: Resource, key: string): string | undefined {
  return resource.disk?.source?.metadata?.labels?.find((label) => label.key === key)?.value
}

/** The offer with one pool's resources alone, as the example reads it. */
function only(offer: Offer, pool: string) {
  return { ...offer, resources: offer.resources.filter((resource) => labelOf(resource, 'pool') === pool) } as never
}
