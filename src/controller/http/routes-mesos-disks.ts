import { Type } from 'typebox'
import { Role, SizeMiB } from '../../model/fields.ts'
import { Reservations, VolumeMesos } from '../../model/mesos.ts'
import type { Volume } from '../../model/volume.ts'
import { type DiskState, diskState } from '../mesos/disk-state.ts'
import { createDisk, destroyDisk, recordDisk } from '../mesos/disks.ts'
import { NODE } from './caller.ts'
import type { JsonSchema } from './describe-schema.ts'
import { OperationUuid, operationKey, providerActor, providerOf } from './mesos-calls.ts'
import { accepted, type Call, ok, type Route, route } from './route.ts'
import { WAIT_QUERY, waitUntil } from './waits.ts'

const params = Type.Object({ volume: Type.String() })
const MesosText = Type.String({ minLength: 1, maxLength: 255 })
const uuid = OperationUuid.properties.operation

const NewDisk = Type.Object({
  operation: uuid,
  poolId: Type.String({ minLength: 1, maxLength: 255, description: 'Id or name.' }),
  role: Role,
  reservations: Reservations,
  sizeMiB: SizeMiB,
  profile: Type.Optional(Type.String({ maxLength: 255 })),
  target: Type.Union([Type.Literal('MOUNT'), Type.Literal('BLOCK')]),
  frameworkId: Type.Optional(MesosText),
  operationId: Type.Optional(MesosText),
})

const SaidOfDisk = Type.Object({
  operation: uuid,
  reservations: Type.Optional(Reservations),
  persistence: Type.Optional(Type.Union([VolumeMesos.properties.persistence, Type.Null()])),
  containerPath: Type.Optional(Type.String({ maxLength: 1024 })),
  shared: Type.Optional(Type.Boolean()),
})

const state = { type: 'string', enum: ['pending', 'ready', 'failed', 'gone'] }
const DiskReply: JsonSchema = {
  type: 'object',
  required: ['volumeId', 'state'],
  properties: {
    volumeId: { type: 'string' },
    state,
    disk: { type: 'object', description: 'What is to be shown of it, when it is ready.' },
    message: { type: 'string', description: 'Why it failed.' },
  },
  additionalProperties: false,
}

async function answer(call: Call<unknown, unknown, unknown>, volumeId: string) {
  const { nodeId, principal } = providerOf(call)
  const found = await call.read((ledger) => diskState(ledger, nodeId, principal, volumeId))
  return { volumeId, ...found }
}

export const MESOS_DISK_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/mesos/disks',
    access: NODE,
    tag: 'mesos provider',
    summary: 'Make the disk of a CREATE_DISK: room and IOPS are taken at once, the disk is made afterwards',
    body: NewDisk,
    replies: { 202: DiskReply },
    async handle(call) {
      const provider = providerOf(call)
      const key = operationKey(call, 'create', call.body.operation)
      const made = await call.submit((ledger) => createDisk(ledger, provider, call.body), providerActor(call), key)
      return accepted(await answer(call, (made.answer as Volume).id))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/mesos/disks/:volume',
    access: NODE,
    tag: 'mesos provider',
    summary: 'How far a disk is; `wait` seconds for it to be ready, failed or gone',
    params,
    query: Type.Object(WAIT_QUERY),
    replies: { 200: DiskReply },
    async handle(call) {
      const { nodeId, principal } = providerOf(call)
      const { volume } = call.params
      const settled = await waitUntil(call, call.query.wait ?? 0, (ledger): DiskState | undefined => {
        const found = diskState(ledger, nodeId, principal, volume)
        return found.state === 'pending' ? undefined : found
      })
      return ok({ volumeId: volume, ...(settled ?? { state: 'pending' }) })
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/mesos/disks/:volume',
    access: NODE,
    tag: 'mesos provider',
    summary: 'Destroy a disk, because of a DESTROY_DISK; it is `pending` until it is gone',
    params,
    query: OperationUuid,
    replies: { 202: DiskReply },
    async handle(call) {
      const provider = providerOf(call)
      const { volume } = call.params
      const key = operationKey(call, 'destroy', call.query.operation)
      await call.submit((ledger) => destroyDisk(ledger, provider, volume), providerActor(call), key)
      return accepted(await answer(call, volume))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/mesos/disks/:volume/record',
    access: NODE,
    tag: 'mesos provider',
    summary: 'Record what Mesos did to a disk by CREATE, DESTROY, RESERVE or UNRESERVE',
    params,
    body: SaidOfDisk,
    replies: { 200: DiskReply },
    async handle(call) {
      const provider = providerOf(call)
      const { volume } = call.params
      const { operation, ...said } = call.body
      const key = operationKey(call, 'record', operation)
      await call.submit((ledger) => recordDisk(ledger, provider, volume, said), providerActor(call), key)
      return ok(await answer(call, volume))
    },
  }),
]
