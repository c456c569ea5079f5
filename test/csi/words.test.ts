import { create, type DescEnum, type DescMessage, fromBinary, getOption, toBinary } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { GRPC_CODE_OF } from '../../src/csi/error-codes.ts'
import {
  CreateSnapshotResponseSchema,
  CreateVolumeRequestSchema,
  csi_secret,
  file_csi_v1_csi,
  NodePublishVolumeRequestSchema,
  NodeStageVolumeRequestSchema,
  VolumeCapability_AccessMode_Mode,
} from '../../src/csi/generated/csi/v1/csi_pb.js'
import { GRPC_CODES, grpcCode } from '../../src/csi/grpc-error.ts'
import { redacted } from '../../src/csi/redact.ts'
import { ERRORS, type ErrorCode } from '../../src/model/errors.ts'

/** Field `number` of a message, as bytes: by hand, so that the numbers are not those of the code under test. */
function field(number: number, value: string | number | Buffer): Buffer {
  if (typeof value === 'number') return Buffer.from([number << 3, value])
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
}

const entry = (key: string, value: string) => Buffer.concat([field(1, key), field(2, value)])

// what Mesos 1.11 sent (its CSI is 1.1), in bytes
const MOUNT = Buffer.concat([field(2, Buffer.concat([field(1, 'xfs'), field(2, 'noatime')])), field(3, field(1, 1))])
const capability = {
  accessType: { case: 'mount', value: { fsType: 'xfs', mountFlags: ['noatime'] } },
  accessMode: { mode: VolumeCapability_AccessMode_Mode.SINGLE_NODE_WRITER },
}

test('a stage request of Mesos is understood', () => {
  const bytes = [field(1, 'cv1'), field(3, '/mounts/cv1/staging'), field(4, MOUNT), field(6, entry('sys', 'inst1'))]
  expect(fromBinary(NodeStageVolumeRequestSchema, Buffer.concat(bytes))).toMatchObject({
    volumeId: 'cv1',
    publishContext: {},
    stagingTargetPath: '/mounts/cv1/staging',
    volumeCapability: capability,
    secrets: {},
    volumeContext: { sys: 'inst1' },
  })
})

test('a publish request of Mesos is understood', () => {
  const bytes = [
    field(1, 'cv1'),
    field(3, '/mounts/cv1/staging'),
    field(4, '/mounts/cv1/target'),
    field(5, MOUNT),
    field(6, 1),
    field(8, entry('pool', 'p1')),
    field(8, entry('sys', 'inst1')),
  ]
  expect(fromBinary(NodePublishVolumeRequestSchema, Buffer.concat(bytes))).toMatchObject({
    volumeId: 'cv1',
    stagingTargetPath: '/mounts/cv1/staging',
    targetPath: '/mounts/cv1/target',
    volumeCapability: capability,
    readonly: true,
    volumeContext: { pool: 'p1', sys: 'inst1' },
  })
})

test('a field of a later version is passed over', () => {
  const bytes = Buffer.concat([field(1, 'pvc-1'), field(15, 'from the future'), field(8, entry('iops', '100'))])
  expect(fromBinary(CreateVolumeRequestSchema, bytes)).toMatchObject({
    name: 'pvc-1',
    mutableParameters: { iops: '100' },
  })
})

test('an answer has the bytes that the specification says', () => {
  const snapshot = {
    sizeBytes: 5n,
    snapshotId: 's',
    sourceVolumeId: 'v',
    creationTime: { seconds: 9n },
    readyToUse: true,
  }
  const bytes = toBinary(CreateSnapshotResponseSchema, create(CreateSnapshotResponseSchema, { snapshot }))
  const parts = [field(1, 5), field(2, 's'), field(3, 'v'), field(4, field(1, 9)), field(5, 1)]
  expect(Buffer.from(bytes)).toEqual(field(1, Buffer.concat(parts)))
})

function described(message: DescMessage): string[] {
  const fields = message.fields.map((desc) => {
    const { fieldKind: kind } = desc
    const oneof = desc.oneof === undefined ? '' : ` of ${desc.oneof.name}`
    const secret = getOption(desc, csi_secret) ? ' secret' : ''
    const type = desc.message?.typeName ?? desc.enum?.typeName ?? desc.scalar
    return `  ${desc.number} ${desc.name}: ${kind} ${type}${oneof}${secret}`
  })
  return [
    message.typeName,
    ...fields,
    ...message.nestedEnums.flatMap(values),
    ...message.nestedMessages.flatMap(described),
  ]
}

function values(desc: DescEnum): string[] {
  return [desc.typeName, ...desc.values.map(({ number, name }) => `  ${number} ${name}`)]
}

// Numbers on the wire never change. This file was read against the specification's csi.proto, line by line; a difference
// is a mistake, or a new version of CSI, and then is to be read like that again.
test('names, numbers, types and secrets are those that were compared with the specification', async () => {
  const { services, messages, enums } = file_csi_v1_csi
  const calls = services.flatMap(({ typeName, methods }) =>
    methods.map(
      ({ name, input, output, methodKind }) => `/${typeName}/${name} ${input.name} ${output.name} ${methodKind}`,
    ),
  )
  const text = [...calls, ...enums.flatMap(values), ...messages.flatMap(described)].join('\n')
  await expect(`${text}\n`).toMatchFileSnapshot('./testdata/wire.txt')
})

test('every request field that is named secrets is hidden', () => {
  const secrets = file_csi_v1_csi.messages.flatMap(({ fields }) => fields).filter(({ name }) => name === 'secrets')
  expect(secrets).toHaveLength(19)
  expect(secrets.filter((desc) => !getOption(desc, csi_secret))).toEqual([])
})

test('a log line has no secret, no value of a mount option, and is not endless', () => {
  const request = create(CreateVolumeRequestSchema, {
    name: 'x'.repeat(10_000),
    capacityRange: { requiredBytes: 2n ** 60n },
    volumeCapabilities: Array.from({ length: 1000 }, () => ({
      accessType: {
        case: 'mount' as const,
        value: { fsType: 'cifs', mountFlags: ['ro', 'password=a=b\nc', 'vers=3'] },
      },
      accessMode: { mode: 99 as VolumeCapability_AccessMode_Mode },
    })),
    secrets: { token: 'hunter2', empty: '' },
    parameters: { profile: 'gold' },
    accessibilityRequirements: { preferred: [{ segments: { zone: 'z1' } }] },
  })
  const shown = redacted(CreateVolumeRequestSchema, request)
  expect(shown).toMatchObject({
    capacity_range: { required_bytes: String(2n ** 60n) },
    secrets: { token: '(secret)', empty: '(secret)' },
    parameters: { profile: 'gold' },
    accessibility_requirements: { preferred: [{ segments: { zone: 'z1' } }] },
  })
  const first = (shown.volume_capabilities as unknown[])[0]
  const flags = ['ro', 'password=(secret)', 'vers=(secret)']
  expect(first).toEqual({ mount: { fs_type: 'cifs', mount_flags: flags }, access_mode: { mode: 99 } })
  expect(JSON.stringify(shown).length).toBeLessThan(10_000)
  expect(request.secrets).toEqual({ token: 'hunter2', empty: '' })
})

/** What external-provisioner and kubelet take for "perhaps still being worked on". */
const REPEATED = new Set(['CANCELLED', 'DEADLINE_EXCEEDED', 'UNAVAILABLE', 'ABORTED'])

test('an error whose outcome is unknown makes an orchestrator repeat the call', () => {
  const codes = Object.keys(ERRORS) as ErrorCode[]
  const unknown = codes.filter((code) => ERRORS[code].retry === 'same-key' && code !== 'internal')
  expect(unknown.length).toBeGreaterThan(3)
  expect(unknown.filter((code) => !REPEATED.has(GRPC_CODE_OF[code]))).toEqual([])
})

test('numbers and names of the codes belong together', () => {
  expect(Object.values(GRPC_CODES)).toEqual(Array.from({ length: 17 }, (_, number) => number))
  expect(grpcCode(10)).toBe('ABORTED')
  expect(grpcCode(-1)).toBe('UNKNOWN')
})
