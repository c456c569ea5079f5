/** How each operation of the tables is brought about, for each of their columns. */
import type { OperationStatus, Resource } from '../../../../src/mesos/resource.ts'
import type { OfferOperation } from '../../../support/mesos/types.ts'
import { until } from '../../../support/until.ts'
import { type Client, type Hand, idOf, newId } from './client.ts'
import {
  create,
  createDisk,
  destroy,
  destroyDisk,
  isRaw,
  isVolume,
  part,
  persistent,
  reserve,
  reserved,
  unreserve,
} from './operations.ts'
import { poolName, type World } from './world.ts'

/** Whose reservation it is. `open`: nobody's. */
export type Whose = 'ours' | 'own' | 'open'

/** One operation, ready to be tried. */
export interface Try {
  readonly client: Client
  readonly hand: Hand
  readonly operation: OfferOperation
  /** What is said with it in a LAUNCH, for those that want to use the result at once. */
  readonly result?: Resource
  /** Whether the ledger knows of it. */
  readonly isRecorded?: () => Promise<boolean>
}

/** Pools and roles of one world, by whose reservation and by whether volumes float. */
export interface Places {
  /** With persistence of our own, or without. */
  readonly pool: (whose: Whose, floats: boolean) => string
  readonly role: (whose: Whose, floats: boolean) => string
}

const SIZE_MIB = 16

export class OperationCases {
  readonly #world: World
  readonly #places: Places

  constructor(world: World, places: Places) {
    this.#world = world
    this.#places = places
  }

  get #agent() {
    return this.#world.agent(1)
  }

  /** Capacity, reserved as the column says. */
  async raw(whose: Whose, floats = false, below = '') {
    const { pool, role: roleOf } = this.#places
    const [name, role] = [pool(whose, floats), roleOf(whose, floats)]
    const client = await this.#world.client({ roles: [role] })
    const { hand, found } = await this.#find(
      client,
      role,
      (each) => isRaw(each, name) && isFree(each) === (whose !== 'ours'),
    )
    if (whose !== 'own') return this.#below({ client, hand, found: part(found, SIZE_MIB) }, name, below)
    const mine = reserved(part(found, SIZE_MIB), role)
    const before = await this.#reservedMiB()
    await expectFinished(client.operate(hand, [reserve(newId('r'), mine)]))
    await until(async () => (await this.#reservedMiB()) === before + SIZE_MIB, { what: 'the reservation to be known' })
    const held = await this.#find(client, role, (each) => isRaw(each, name) && !isFree(each))
    return this.#below({ client, hand: held.hand, found: part(held.found, SIZE_MIB) }, name, below)
  }

  /** The same, offered to a role below. */
  async #below<T extends { client: Client; hand: Hand; found: Resource }>(got: T, name: string, below: string) {
    if (below === '') return got
    await got.client.end()
    const client = await this.#world.client({ roles: [`${got.client.role}/${below}`] })
    const free = isFree(got.found)
    const { hand, found } = await this.#find(client, client.role, (each) => isRaw(each, name) && isFree(each) === free)
    return { client, hand, found: part(found, SIZE_MIB) }
  }

  #find(client: Client, role: string, fits: (resource: Resource) => boolean) {
    return client.look(this.#agent, ({ resources }) => resources.find(fits), 'what is to be used', role)
  }

  /** A disk of that capacity; with `floats` it comes with our persistence. */
  async disk(whose: Whose, floats = false, profile = 'plain') {
    const { client, hand, found } = await this.raw(whose, floats)
    const target = profile === 'plain' ? 'MOUNT' : 'BLOCK'
    const { converted_resources } = await expectFinished(
      client.operate(hand, [createDisk(newId('c'), found, profile, target)]),
    )
    const volumeId = idOf(converted_resources?.[0] as Resource)
    const got = await this.#find(client, client.role, (each) => isVolume(each, volumeId))
    return { client, volumeId, ...got }
  }

  /** A disk on which the framework has made a volume. */
  async #ownVolume(whose: Whose) {
    const { client, hand, found, volumeId } = await this.disk(whose)
    const volume = persistent(found, newId('pv'))
    if (whose === 'open') return { client, hand, volumeId, found: volume }
    await expectFinished(client.operate(hand, [create(newId('c'), volume)]))
    return { client, volumeId, ...(await this.#find(client, client.role, (each) => isVolume(each, volumeId))) }
  }

  /** All ways in which a row can be tried, one after the other. */
  readonly rows: Readonly<Record<string, (whose: Whose) => readonly (() => Promise<Try>)[]>> = {
    'CREATE_DISK on RAW': (whose) => [() => this.createDisk(whose)],
    'DESTROY_DISK on a volume with persistence': (whose) => [() => this.#destroyDisk(whose, true)],
    'DESTROY_DISK on a bare disk': (whose) => [() => this.#destroyDisk(whose, false)],
    'RESERVE on RAW': (whose) => [() => this.reserveRaw(whose)],
    'RESERVE on RAW or a bare disk': (whose) => [() => this.reserveRaw(whose), () => this.#reserveDisk(whose)],
    'UNRESERVE on RAW': (whose) => [() => this.#unreserveRaw(whose)],
    UNRESERVE: (whose) => [() => this.#unreserveRaw(whose), () => this.#unreserveDisk(whose)],
    'CREATE on a bare MOUNT disk': (whose) => [() => this.#createOnDisk(whose)],
    // our roles may not CREATE at all where volumes float
    'CREATE on RAW or BLOCK': (whose) =>
      whose === 'ours' ? [() => this.#createOnRaw(whose, true)] : this.createOnWhatCannot(whose),
    'DESTROY of our persistence': (whose) => [() => this.#destroyOurs(whose)],
    "DESTROY of the framework's persistence": (whose) => [() => this.#destroyOwn(whose)],
    DESTROY: (whose) => [() => this.#destroyOwn(whose)],
    'GROW_VOLUME, SHRINK_VOLUME': (whose) => [() => this.#resize(whose, 'GROW'), () => this.#resize(whose, 'SHRINK')],
  }

  /** By a role that may CREATE. */
  createOnWhatCannot(whose: Whose): readonly (() => Promise<Try>)[] {
    return [() => this.#createOnRaw(whose, false), () => this.#createOnBlock(whose)]
  }

  async createDisk(whose: Whose): Promise<Try> {
    const { client, hand, found } = await this.raw(whose)
    return { client, hand, operation: createDisk(newId('c'), found, 'plain') }
  }

  async #destroyDisk(whose: Whose, floats: boolean): Promise<Try> {
    const { client, hand, found } = await this.disk(whose, floats)
    return { client, hand, operation: destroyDisk(newId('dd'), found) }
  }

  async #createOnDisk(whose: Whose): Promise<Try> {
    const { client, hand, found, volumeId } = await this.disk(whose)
    const isRecorded = async () => (await this.#world.volume(volumeId)).mesos?.persistence !== undefined
    return { client, hand, operation: create(newId('c'), persistent(found, newId('pv'))), isRecorded }
  }

  async #destroyOurs(whose: Whose): Promise<Try> {
    const { client, hand, found } = await this.disk(whose, true)
    return { client, hand, operation: destroy(newId('d'), found) }
  }

  async #resize(whose: Whose, how: 'GROW' | 'SHRINK'): Promise<Try> {
    const { client, hand, found: volume } = await this.disk(whose, true)
    const id = { value: newId('resize') }
    const operation: OfferOperation =
      how === 'GROW'
        ? { type: 'GROW_VOLUME', id, grow_volume: { volume, addition: volume } }
        : { type: 'SHRINK_VOLUME', id, shrink_volume: { volume, subtract: { value: 1 } } }
    return { client, hand, operation }
  }

  async #createOnRaw(whose: Whose, floats: boolean): Promise<Try> {
    const { client, hand, found } = await this.raw(whose, floats)
    const result = persistent(found, newId('pv'))
    return { client, hand, operation: create(newId('c'), result), result }
  }

  async #createOnBlock(whose: Whose): Promise<Try> {
    const { client, hand, found } = await this.disk(whose, false, 'blockdev')
    const result = persistent(found, newId('pv'))
    return { client, hand, operation: create(newId('c'), result), result }
  }

  /** Of what is reserved already it is for a role below. */
  async reserveRaw(whose: Whose, floats = whose === 'ours'): Promise<Try> {
    const below = whose === 'open' ? '' : 'x'
    const { client, hand, found } = await this.raw(whose, floats, below)
    const mine = reserved(found, client.role)
    const isRecorded = async () => (await this.#stacks()).includes(JSON.stringify(rolesOf(mine)))
    return { client, hand, operation: reserve(newId('r'), mine), isRecorded }
  }

  async #unreserveRaw(whose: Whose): Promise<Try> {
    const { client, hand, found } = await this.raw(whose, whose === 'ours')
    const before = await this.#reservedMiB()
    const isRecorded = async () => (await this.#reservedMiB()) === before - SIZE_MIB
    return { client, hand, operation: unreserve(newId('u'), found), isRecorded }
  }

  async #reserveDisk(whose: Whose): Promise<Try> {
    const { client: first, volumeId, found: disk, hand: before } = await this.disk(whose)
    if (whose === 'open') return this.#reserving(first, before, disk, volumeId)
    await first.end()
    const client = await this.#world.client({ roles: [`${first.role}/x`] })
    const { hand, found } = await this.#find(client, client.role, (each) => isVolume(each, volumeId))
    return this.#reserving(client, hand, found, volumeId)
  }

  #reserving(client: Client, hand: Hand, disk: Resource, volumeId: string): Try {
    const isRecorded = async () => {
      const roles = (await this.#world.volume(volumeId)).mesos?.reservations.map(({ role }) => role)
      return roles?.at(-1) === client.role
    }
    return { client, hand, operation: reserve(newId('r'), reserved(disk, client.role)), isRecorded }
  }

  async #unreserveDisk(whose: Whose): Promise<Try> {
    const { client, hand, found, volumeId } = await this.disk(whose)
    const isRecorded = async () => (await this.#world.volume(volumeId)).mesos?.reservations.length === 0
    return { client, hand, operation: unreserve(newId('u'), found), isRecorded }
  }

  async #destroyOwn(whose: Whose): Promise<Try> {
    const { client, hand, found, volumeId } = await this.#ownVolume(whose)
    const isRecorded = async () => (await this.#world.volume(volumeId)).mesos?.persistence === undefined
    return { client, hand, operation: destroy(newId('d'), found), isRecorded }
  }

  /** The stacks of reservations that the ledger knows of at the first agent, as lists of roles. */
  async #stacks(): Promise<string> {
    return JSON.stringify((await this.#reservedHere()).map(({ reservations }) => reservations.map(({ role }) => role)))
  }

  async #reservedMiB(): Promise<number> {
    return (await this.#reservedHere()).reduce((sum, { sizeMiB }) => sum + sizeMiB, 0)
  }

  async #reservedHere(): Promise<readonly { reservations: readonly { role: string }[]; sizeMiB: number }[]> {
    interface Status {
      readonly providers: readonly {
        readonly reserved: readonly {
          readonly reservations: readonly { readonly role: string }[]
          readonly sizeMiB: number
        }[]
      }[]
    }
    const { providers } = await this.#world.rest.rest<Status>('GET', '/v1/mesos')
    return providers.flatMap((each) => each.reserved)
  }

  /** Somebody else takes all of a pool; what is offered of it stays as it is where figures never fall. */
  async fill(pool: string): Promise<() => Promise<void>> {
    const { usage } = await this.#world.rest.rest<{ usage: { freeMiB: number } }>('GET', `/v1/pools/${poolName(pool)}`)
    const body = { pool: poolName(pool), role: 'somebody', sizeMiB: usage.freeMiB }
    const { id } = await this.#world.rest.rest<{ id: string }>('POST', '/v1/holds', body)
    return () => this.#world.rest.rest('DELETE', `/v1/holds/${id}`)
  }
}

function isFree({ reservations }: Resource): boolean {
  return reservations === undefined
}

function rolesOf({ reservations = [] }: Resource): string[] {
  return reservations.map(({ role }) => role)
}

/** An offer was out of date: everything begins anew. */
export class OutOfDate extends Error {}

/** @throws OutOfDate */
export function inDate(status: OperationStatus): OperationStatus {
  const { state, message = '' } = status
  if (state === 'OPERATION_DROPPED' || message.includes('is no longer valid')) throw new OutOfDate(message)
  return status
}

async function expectFinished(ending: Promise<OperationStatus>): Promise<OperationStatus> {
  const status = inDate(await ending)
  if (status.state !== 'OPERATION_FINISHED') throw new Error(`${status.state}: ${status.message}`)
  return status
}
