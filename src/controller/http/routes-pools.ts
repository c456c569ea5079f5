import { randomUUID } from 'node:crypto'
import { type Static, Type } from 'typebox'
import type { PoolUpdate } from '../../ledger/pools.ts'
import { HoldfastError } from '../../model/errors.ts'
import { AmountMiB, Labels, Name, PoolName, Rate } from '../../model/fields.ts'
import { PoolMesos, Shrink } from '../../model/mesos.ts'
import { Fence, Pool, PoolSettings } from '../../model/pool.ts'
import { findPool } from '../../placement/pools.ts'
import { OPERATE, READ, READ_DOORS } from './caller.ts'
import { ref, slowReply } from './components.ts'
import { findNode } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema, formatTime, shownSchema } from './rest-schema.ts'
import { accepted, created, ok, type Route, route } from './route.ts'
import { showPool } from './show-pools.ts'
import { openOperation } from './waits.ts'

const params = Type.Object({ pool: Type.String() })
const IdOrName = Type.String({ minLength: 1, maxLength: 255 })
const Overcommit = Type.Number({ minimum: 0.001, maximum: 100, description: 'Whole thousandths; 1 is none.' })

/** What is absent is as it was, or at first as it is by default. */
const MesosSettings = Type.Object(
  {
    roles: Type.Optional(PoolMesos.properties.roles),
    reservation: Type.Optional(PoolMesos.properties.reservation),
    unreserved: Type.Optional(Type.Boolean()),
    shrink: Type.Optional(Type.Union([Shrink, Type.Null()])),
    spread: Type.Optional(PoolMesos.properties.spread),
    float: Type.Optional(Type.Boolean()),
    block: Type.Optional(Type.Boolean()),
    bandwidth: Type.Optional(Type.Boolean()),
  },
  { description: 'How the pool is shown to Mesos; `roles` must be given at first.' },
)
type MesosSettings = Static<typeof MesosSettings>

const NewPool = bodySchema(
  Type.Object({
    name: PoolName,
    driver: Name,
    settings: Type.Optional(PoolSettings),
    capacityMiB: AmountMiB,
    iops: Type.Optional(Rate),
    overcommit: Type.Optional(Overcommit),
    reserveMiB: Type.Optional(AmountMiB),
    fence: Type.Optional(Fence),
    labels: Type.Optional(Labels),
    mesos: Type.Optional(MesosSettings),
    markOn: Type.Optional(IdOrName),
  }),
)

const PoolChanges = bodySchema(
  Type.Object(
    {
      driver: Type.Optional(Name),
      settings: Type.Optional(PoolSettings),
      capacityMiB: Type.Optional(AmountMiB),
      iops: Type.Optional(Rate),
      overcommit: Type.Optional(Overcommit),
      reserveMiB: Type.Optional(AmountMiB),
      fence: Type.Optional(Fence),
      labels: Type.Optional(Labels),
      mesos: Type.Optional(Type.Union([MesosSettings, Type.Null()])),
      state: Type.Optional(Pool.properties.state),
    },
    { minProperties: 1 },
  ),
)

const Inventory = shownSchema(
  Type.Object({
    pool: Type.String(),
    at: Type.Integer(),
    node: Type.String(),
    objects: Type.Array(
      Type.Object({
        name: Type.String(),
        sizeMiB: Type.Integer(),
        usedMiB: Type.Optional(Type.Integer()),
        attached: Type.Optional(Type.Boolean()),
        status: Type.Union([Type.Literal('known'), Type.Literal('orphan'), Type.Literal('foreign')]),
        owner: Type.Optional(Type.String()),
      }),
    ),
    missing: Type.Array(Type.String()),
  }),
)

export const POOL_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/pools',
    access: READ_DOORS,
    tag: 'pools',
    summary: 'List pools',
    query: Type.Object(PAGE_QUERY),
    replies: { 200: pageSchema(ref('Pool')) },
    handle: (call) =>
      call.read((state) =>
        ok(shownPage(page(state.all('pool').values(), call.query), (pool) => showPool(state, pool))),
      ),
  }),
  route({
    method: 'POST',
    path: '/v1/pools',
    access: OPERATE,
    tag: 'pools',
    summary: 'Declare a pool',
    body: NewPool,
    replies: { 201: ref('Pool') },
    async handle(call) {
      const { body } = call
      const uuid = randomUUID()
      const overcommitThousandths = thousandths(body.overcommit ?? 1)
      const { answer } = await call.submit((state) => ({
        kind: 'pool.create',
        name: body.name,
        uuid,
        driver: body.driver,
        settings: body.settings ?? {},
        capacityMiB: body.capacityMiB,
        iops: body.iops ?? 0,
        overcommitThousandths,
        reserveMiB: body.reserveMiB ?? 0,
        fence: body.fence ?? 'driver',
        labels: body.labels ?? {},
        ...(body.mesos === undefined ? {} : { mesos: shownToMesos(undefined, body.mesos) }),
        markOn: body.markOn === undefined ? undefined : findNode(state, body.markOn).id,
      }))
      return call.read((state) => created(showPool(state, answer as Pool)))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/pools/:pool',
    access: READ_DOORS,
    tag: 'pools',
    summary: 'Show a pool',
    params,
    replies: { 200: ref('Pool') },
    handle: (call) => call.read((state) => ok(showPool(state, findPool(state, call.params.pool)))),
  }),
  route({
    method: 'PATCH',
    path: '/v1/pools/:pool',
    access: OPERATE,
    tag: 'pools',
    summary: 'Change a pool',
    description: 'Capacity and IOPS are facts: lowering them below what is used puts the pool into deficit.',
    params,
    body: PoolChanges,
    replies: { 200: ref('Pool') },
    async handle(call) {
      const { overcommit, mesos, ...rest } = call.body
      const ratio = overcommit === undefined ? {} : { overcommitThousandths: thousandths(overcommit) }
      const { answer } = await call.submit((state) => {
        const pool = findPool(state, call.params.pool)
        const shown = mesos === undefined ? {} : { mesos: mesos === null ? null : shownToMesos(pool.mesos, mesos) }
        const set: PoolUpdate = { ...rest, ...ratio, ...shown }
        return { kind: 'pool.update', poolId: pool.id, set }
      })
      return call.read((state) => ok(showPool(state, answer as Pool)))
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/pools/:pool',
    access: OPERATE,
    tag: 'pools',
    summary: 'Remove a pool that holds nothing',
    params,
    replies: { 200: ref('Pool') },
    async handle(call) {
      const { answer } = await call.submit((state) => {
        return { kind: 'pool.delete', poolId: findPool(state, call.params.pool).id }
      })
      return call.read((state) => ok(showPool(state, answer as Pool)))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/pools/:pool/mark',
    access: OPERATE,
    tag: 'pools',
    summary: "Write the pool's marker on its storage, from a node",
    params,
    body: bodySchema(Type.Object({ node: IdOrName })),
    replies: { 202: slowReply('pool', 'Pool') },
    async handle(call) {
      const { answer } = await call.submit((state) => ({
        kind: 'pool.mark',
        poolId: findPool(state, call.params.pool).id,
        nodeId: findNode(state, call.body.node).id,
      }))
      return call.read((state) => {
        const pool = answer as Pool
        const operation = openOperation(state, pool.id)
        return accepted({
          pool: showPool(state, pool),
          ...(operation === undefined ? {} : { operation: operation.id }),
        })
      })
    },
  }),
  route({
    method: 'GET',
    path: '/v1/pools/:pool/inventory',
    access: READ,
    tag: 'pools',
    summary: 'What was really found on the storage, compared with the ledger',
    params,
    replies: { 200: Inventory },
    handle: (call) =>
      call.read((state) => {
        const pool = findPool(state, call.params.pool)
        const found = call.api.controller.inventories.get(state, pool.id)
        if (found === undefined) {
          throw new HoldfastError('not_found', `pool ${pool.name}: no node has reported its inventory yet`)
        }
        const node = state.get('node', found.nodeId)?.name ?? found.nodeId
        const { objects, missing } = found
        return ok({ pool: pool.name, at: formatTime(found.at), node, objects, missing })
      }),
  }),
]

/** @throws invalid_option without roles */
function shownToMesos(before: PoolMesos | undefined, settings: MesosSettings): PoolMesos {
  const { shrink = before?.shrink ?? null, roles = before?.roles, ...given } = settings
  if (roles === undefined) {
    throw new HoldfastError('invalid_option', 'body.mesos: roles must be given: which Mesos roles may use the pool')
  }
  const { shrink: _, ...kept } = before ?? MESOS_DEFAULTS
  return { ...kept, ...given, roles, ...(shrink === null ? {} : { shrink }) }
}

const MESOS_DEFAULTS: Omit<PoolMesos, 'roles'> = {
  reservation: 'dynamic',
  unreserved: false,
  spread: 0,
  float: true,
  block: false,
  bandwidth: false,
}

/** @throws invalid_option for a ratio that is no whole number of thousandths */
function thousandths(ratio: number): number {
  const whole = Math.round(ratio * 1000)
  if (Math.abs(whole - ratio * 1000) < 1e-6) return whole
  throw new HoldfastError('invalid_option', `body.overcommit: ${ratio} has more than three decimals`)
}
