import { describe, expect, test } from 'vitest'
import type { Request } from '../../../src/doors/mesos/logic/desk.ts'
import { uuidBase64 } from '../../../src/doors/mesos/logic/uuids.ts'
import type { ProviderEvent } from '../../../src/mesos/provider-protocol.ts'
import {
  begun,
  createDisk,
  HELD,
  type LogicScript,
  POOL,
  PROJECTION,
  rawResource,
  usual,
  uuid,
  versionOf,
} from './support/logic-script.ts'

/** Capacity that nobody has reserved yet. */
const OPEN = { guarded: false, shrink: 'never', raw: [{ reservations: [], sizeMiB: 1000 }] } as const

/** A framework reserves so much for itself. */
function reserve(script: LogicScript, sizeMiB: number): ProviderEvent {
  return {
    type: 'APPLY_OPERATION',
    apply_operation: {
      framework_id: { value: 'framework-1' },
      info: { type: 'RESERVE', id: { value: 'reserve-1' }, reserve: { resources: [rawResource(sizeMiB)] } },
      operation_uuid: { value: uuidBase64(uuid(2000)) },
      resource_version_uuid: { value: versionOf(script) },
    },
  }
}

function paths(script: LogicScript): string[] {
  const isRest = (request: Request) => request.kind === 'rest'
  return [...script.open.values()].filter(isRest).map((each) => `${each.method} ${each.path}`)
}

describe('what the controller hears', () => {
  test('a CREATE_DISK waits until it has heard of the RESERVE before it', () => {
    const script = begun(OPEN)
    script.answer = (request) => {
      return request.kind === 'rest' && request.path.endsWith('/reserved') ? undefined : usual(request)
    }
    script.event(reserve(script, 100))
    script.event(createDisk(script, 1, 100))
    const reserved = `POST /v1/mesos/providers/${POOL}/reserved`
    expect(paths(script)).toEqual([reserved])
    script.pass(3000)
    expect(paths(script)).toEqual([reserved])
    const [id = ''] = [...script.open].find(([, request]) => request.kind === 'rest') ?? []
    script.reply(id, {})
    script.pass(10_000)
    expect(paths(script)).toEqual(['POST /v1/mesos/disks'])
  })
})

describe('what was written down', () => {
  test('after a restart nothing grows before the controller has spoken', () => {
    const script = begun({ ...OPEN, raw: [...OPEN.raw, { reservations: HELD, sizeMiB: 200 }] })
    // a disk is made of what was reserved, and the controller's new figures are not heard of any more
    script.event(createDisk(script, 1, 200))
    const [id = ''] = [...script.open].find(([, { kind }]) => kind === 'rest') ?? []
    const disk = {
      volumeId: 'vol-1',
      sizeMiB: 200,
      target: 'MOUNT',
      metadata: PROJECTION.metadata,
      reservations: HELD,
      usedHere: true,
    }
    script.reply(id, { volumeId: 'vol-1', state: 'ready', disk })
    script.pass(5000)
    const before = script.calls.filter(({ type }) => type === 'UPDATE_STATE').length
    script.restart()
    script.pass(60_000)
    expect(script.calls.filter(({ type }) => type === 'UPDATE_STATE')).toHaveLength(before)
  })
})
