import { expect } from 'vitest'
import type { OfferOperation, Resource } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { isRaw, isVolume, POOL, pick, World } from './support/provider-world.ts'
import { createDisk, launch, makeDisk, rawOffer, run, start, volumeIdOf, volumeOffers } from './support/stories.ts'

const RESERVED = [{ type: 'DYNAMIC', role: 'ads', principal: 'framework' }] as const

/** Disk of a pool whose masters have no ACLs: bare, and only where it was made. */
const isBare = (resource: Resource) => isVolume()(resource) && resource.disk?.persistence === undefined

needs('root', 'loop-devices', 'unshare', 'mkfs.ext4').describe('operations of frameworks and operators', () => {
  const { test } = needs('root')

  test('without the ACLs a disk is made bare, reserved, made persistent, used, and given back, all by its framework', async () => {
    const world = await World.start({ guarded: false })
    const { agent } = world.machine(1)
    const framework = await world.framework({ principal: 'framework' })
    const offer = await rawOffer(framework, agent)
    const raw = pick([offer], isRaw)
    expect(raw.reservations ?? []).toEqual([])
    await framework.accept([offer], [createDisk('make', raw, 64)])
    const made = await framework.operationStatus('make', 20_000)
    expect(made).toMatchObject({ state: 'OPERATION_FINISHED' })
    const volume = volumeIdOf(made)
    const offers = await volumeOffers(framework, agent, volume)
    const bare = pick(offers, isBare)
    const reserved = { ...bare, reservations: RESERVED }
    const persistent = {
      ...reserved,
      disk: {
        ...bare.disk,
        persistence: { id: 'pv', principal: 'framework' },
        volume: { mode: 'RW', container_path: 'data' },
      },
    } as Resource
    await framework.accept(offers, [
      { type: 'RESERVE', id: { value: 'reserve' }, reserve: { resources: [reserved] } },
      { type: 'CREATE', id: { value: 'create' }, create: { volumes: [persistent] } },
      launch(offers, { id: 'writes', command: 'echo kept > data/f' }, [persistent]),
    ])
    expect(await framework.operationStatus('reserve')).toMatchObject({ state: 'OPERATION_FINISHED' })
    expect(await framework.operationStatus('create')).toMatchObject({ state: 'OPERATION_FINISHED' })
    expect(await framework.taskStatus('writes', ['TASK_FINISHED', 'TASK_FAILED'])).toMatchObject({
      state: 'TASK_FINISHED',
    })
    // it is known to the ledger, and shown as that after a restart of everything
    await until(async () => JSON.stringify(await world.rest.rest('GET', `/v1/volumes/${volume}`)).includes('"pv"'), {
      what: 'the persistence to be recorded',
    })
    await world.stopProvider(1)
    await world.startProvider(1)
    const again = await run(framework, agent, volume, { id: 'reads', command: 'grep -q kept data/f' })
    expect(again).toMatchObject({ state: 'TASK_FINISHED' })
    expect(
      [...framework.offers.values()]
        .filter(({ agent_id }) => agent_id.value === world.machine(2).agent.id)
        .flatMap(({ resources }) => resources)
        .filter(isVolume()),
    ).toEqual([])
    // and given back: persistence, then reservation, then the disk, when nobody uses it any more
    await until(
      async () => !JSON.stringify(await world.rest.rest('GET', `/v1/volumes/${volume}`)).includes('"inUse":true'),
      {
        what: 'the volume to be released',
      },
    )
    const last = await volumeOffers(framework, agent, volume)
    const used = pick(last, isVolume(volume))
    const { persistence: _, volume: _v, ...stripped } = used.disk ?? {}
    const plain = { ...used, disk: stripped }
    const { reservations: _r, ...unreserved } = plain
    await framework.accept(last, [
      { type: 'DESTROY', id: { value: 'destroy' }, destroy: { volumes: [used] } },
      { type: 'UNRESERVE', id: { value: 'unreserve' }, unreserve: { resources: [plain] } },
      { type: 'DESTROY_DISK', id: { value: 'unmake' }, destroy_disk: { source: unreserved } },
    ])
    for (const id of ['destroy', 'unreserve', 'unmake']) {
      expect(await framework.operationStatus(id, 20_000)).toMatchObject({ state: 'OPERATION_FINISHED' })
    }
    const back = await rawOffer(framework, agent, 4096)
    expect(pick([back], isRaw).scalar?.value).toBe(4096)
    expect(world.mesos.aborts).toEqual([])
  })

  test('a persistent volume on RAW or BLOCK is refused, and a task on it does not start: the agent lives', async () => {
    const world = await World.start({ guarded: false, machines: 1, pool: { block: true } })
    const { agent } = world.machine(1)
    const framework = await world.framework({ principal: 'framework' })
    const offers = await framework.waitTogether(
      agent.id,
      (all) => all.some(isRaw) && all.some(({ name }) => name === 'cpus'),
    )
    const raw = pick(offers, isRaw)
    const reserved: Resource = { ...raw, scalar: { value: 64 }, reservations: RESERVED }
    const persistent = {
      ...reserved,
      disk: {
        ...raw.disk,
        persistence: { id: 'pv', principal: 'framework' },
        volume: { mode: 'RW', container_path: 'data' },
      },
    } as Resource
    await framework.accept(offers, [
      { type: 'RESERVE', id: { value: 'reserve' }, reserve: { resources: [reserved] } },
      { type: 'CREATE', id: { value: 'create' }, create: { volumes: [persistent] } },
      launch(offers, { id: 'never', command: 'true' }, [persistent]),
    ])
    expect(await framework.operationStatus('create')).toMatchObject({
      state: 'OPERATION_FAILED',
      message: expect.stringContaining('MOUNT'),
    })
    expect(
      await framework.taskStatus('never', ['TASK_FINISHED', 'TASK_FAILED', 'TASK_DROPPED', 'TASK_ERROR']),
    ).not.toMatchObject({
      state: 'TASK_FINISHED',
    })
    await rawOffer(framework, agent)
    expect(world.mesos.aborts).toEqual([])
  })

  test('what RESERVE and UNRESERVE do to capacity is recorded and shown again after a restart', async () => {
    const world = await World.start({ guarded: false, machines: 1 })
    const { agent } = world.machine(1)
    const framework = await world.framework({ principal: 'framework' })
    const offer = await rawOffer(framework, agent)
    const raw = pick([offer], isRaw)
    const reserve: OfferOperation = {
      type: 'RESERVE',
      id: { value: 'reserve' },
      reserve: { resources: [{ ...raw, scalar: { value: 96 }, reservations: RESERVED }] },
    }
    await framework.accept([offer], [reserve])
    expect(await framework.operationStatus('reserve')).toMatchObject({ state: 'OPERATION_FINISHED' })
    await world.stopProvider(1)
    await world.startProvider(1)
    const isReserved = (resource: Resource) => isRaw(resource) && resource.reservations?.[0]?.principal === 'framework'
    const found = await framework.waitOffer(({ resources }) => resources.some(isReserved), 20_000)
    expect(pick([found], isReserved).scalar?.value).toBe(96)
    await framework.accept(
      [found],
      [{ type: 'UNRESERVE', id: { value: 'unreserve' }, unreserve: { resources: [pick([found], isReserved)] } }],
    )
    expect(await framework.operationStatus('unreserve')).toMatchObject({ state: 'OPERATION_FINISHED' })
    const back = await rawOffer(framework, agent, 4096)
    expect(pick([back], isRaw).scalar?.value).toBe(4096)
    expect(world.mesos.aborts).toEqual([])
  })

  test('bandwidth is taken by a task, and given back after it', async () => {
    const world = await World.start({ machines: 1, pool: { bandwidth: true } })
    await world.rest.rest('PATCH', '/v1/nodes/node-1', { bandwidth: 100 })
    const { agent } = world.machine(1)
    const framework = await world.framework()
    const isBandwidth = ({ name }: Resource) => name === 'storage_bw'
    const volume = volumeIdOf(await makeDisk(framework, agent, 'make'))
    const offers = await framework.waitTogether(
      agent.id,
      (all) => all.some(isBandwidth) && all.some(isVolume(volume)) && all.some(({ name }) => name === 'cpus'),
      20_000,
    )
    const bandwidth = { ...pick(offers, isBandwidth), scalar: { value: 60 } }
    await framework.accept(offers, [
      launch(offers, { id: 'takes', command: 'sleep 1' }, [pick(offers, isVolume(volume)), bandwidth]),
    ])
    const taken = async () =>
      (await world.rest.rest<{ bandwidthUsed: number }>('GET', '/v1/nodes/node-1')).bandwidthUsed
    await until(async () => (await taken()) === 60, { what: 'the bandwidth to be taken' })
    expect(await framework.taskStatus('takes', ['TASK_FINISHED', 'TASK_FAILED'])).toMatchObject({
      state: 'TASK_FINISHED',
    })
    await until(async () => (await taken()) === 0, { what: 'the bandwidth to be given back' })
    expect(world.mesos.aborts).toEqual([])
  })

  test('an operator who marks the provider gone ends it, and the controller forgets its id', async () => {
    const world = await World.start({ machines: 1, pool: {} })
    const { agent } = world.machine(1)
    const framework = await world.framework()
    await rawOffer(framework, agent)
    const providers = async () =>
      (await world.rest.rest<{ providers: { providerId?: string }[] }>('GET', '/v1/mesos')).providers
    const [{ providerId = '' } = {}] = await providers()
    // it has to be empty first: the pool is shown no more
    await world.rest.rest('PATCH', `/v1/pools/${POOL}`, { mesos: null })
    const gone = async () => {
      const answer = await fetch(`${agent.url}/api/v1`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          type: 'MARK_RESOURCE_PROVIDER_GONE',
          mark_resource_provider_gone: { resource_provider_id: { value: providerId } },
        }),
      })
      return answer.status === 200
    }
    await until(gone, { what: 'the provider to be empty and gone', everyMs: 100 })
    await until(async () => (await providers()).every((each) => each.providerId !== providerId), {
      what: 'the id to be forgotten',
    })
    expect(world.mesos.aborts).toEqual([])
  })

  test('a volume in use is not unmade, and a task that starts right after another finds its volume', async () => {
    const world = await World.start({ machines: 1 })
    const { agent } = world.machine(1)
    const framework = await world.framework()
    const volume = volumeIdOf(await makeDisk(framework, agent, 'make'))
    // each one begins while the one before is being released
    for (let number = 1; number <= 6; number += 1) {
      const task = {
        id: `t${number}`,
        command: `test $(ls data | grep -c run) = ${number - 1} && touch data/run-${number}`,
      }
      expect(await run(framework, agent, volume, task)).toMatchObject({ state: 'TASK_FINISHED' })
    }
    await start(framework, agent, volume, { id: 'long', command: 'sleep 1' })
    expect(await framework.taskStatus('long', ['TASK_FINISHED', 'TASK_FAILED'])).toMatchObject({
      state: 'TASK_FINISHED',
    })
    await until(async () => !(await world.machine(1).node.status()).volumes.some(({ id }) => id === volume), {
      what: 'the release',
    })
    expect(world.mesos.aborts).toEqual([])
  })
})
