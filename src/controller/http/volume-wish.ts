import { type Static, Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import type { VolumeRequest } from '../../ledger/volume-create.ts'
import { HoldfastError } from '../../model/errors.ts'
import { Id, Labels, Name, Rate, Role, SizeMiB } from '../../model/fields.ts'
import { type Profile, profileIops } from '../../model/profile.ts'
import { Access, type Source, VolumeFs } from '../../model/volume.ts'
import { placeVolumes, type Wish } from '../../placement/pools.ts'
import { premadeDisk } from '../mesos/premade.ts'
import { type Caller, roleFor } from './caller.ts'
import { find, findHold, findSnapshot, findVolume } from './find.ts'
import { bodySchema } from './rest-schema.ts'

const IdOrName = Type.String({ minLength: 1, maxLength: 255 })

/** A volume as it is asked for at the REST door. */
export const VolumeBody = bodySchema(
  Type.Object({
    name: Name,
    sizeMiB: SizeMiB,
    pool: Type.Optional(Type.String({ minLength: 1, maxLength: 255, description: 'Id or name; chosen if not given.' })),
    pools: Type.Optional(
      Type.Array(IdOrName, { maxItems: 256, description: 'Ids or names; one of these is chosen, and no other.' }),
    ),
    poolLabels: Type.Optional(Labels),
    role: Type.Optional(Role),
    iops: Type.Optional(Rate),
    profile: Type.Optional(Name),
    fs: Type.Optional(VolumeFs),
    access: Type.Optional(Access),
    from: Type.Optional(
      Type.Object(
        { snapshot: Type.Optional(IdOrName), volume: Type.Optional(IdOrName) },
        { minProperties: 1, maxProperties: 1, description: 'What it is a copy of: a snapshot or a volume.' },
      ),
    ),
    hold: Type.Optional(Id),
    protected: Type.Optional(Type.Boolean()),
    labels: Type.Optional(Labels),
    bandwidth: Type.Optional(Rate),
    fingerprint: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'For doors only.' })),
  }),
)
export type VolumeBody = Static<typeof VolumeBody>

/** Reads what is asked for against the ledger. @throws not_found, role_not_allowed, forbidden, invalid_option */
export function wishOf(state: LedgerState, caller: Caller, body: VolumeBody): Wish {
  const source = sourceOf(state, caller, body)
  const profile = profileOf(state, body)
  const fs = body.fs ?? source?.fs ?? profile?.fs ?? 'ext4'
  if (profile !== undefined && fs !== profile.fs) {
    throw new HoldfastError('invalid_option', `profile ${profile.id} makes ${profile.fs}, and ${fs} is asked for`)
  }
  if (body.hold !== undefined) findHold(state, caller, body.hold)
  if (body.fingerprint !== undefined && caller.door === 'rest') {
    throw new HoldfastError('forbidden', 'body.fingerprint is for doors, whose idempotency key is the name')
  }
  return {
    name: body.name,
    pool: body.pool,
    pools: onlyPools(body, profile),
    poolLabels: body.poolLabels ?? {},
    role: roleFor(caller, body.role),
    sizeMiB: body.sizeMiB,
    iops: body.iops ?? (profile === undefined ? 0 : profileIops(profile, body.sizeMiB)),
    fs,
    access: body.access ?? profile?.access ?? 'single-writer',
    source: source?.source,
    holdId: body.hold,
    protected: body.protected ?? false,
    labels: body.labels ?? {},
    bandwidth: body.bandwidth ?? 0,
    fingerprint: body.fingerprint,
  }
}

/** Chooses pools for what is asked for together, and says what Mesos is to know of it. @throws does_not_fit, unsupported */
export function requestsFor(
  state: LedgerState,
  caller: Caller,
  bodies: readonly VolumeBody[],
  principal: string,
): VolumeRequest[] {
  const { requests } = placeVolumes(
    state,
    bodies.map((body) => wishOf(state, caller, body)),
  )
  return requests.map((request, index) => {
    const profile = profileOf(state, bodies[index])
    return profile === undefined ? request : premadeDisk(state, request, profile, principal)
  })
}

/** A pool must be in all of these lists. */
function onlyPools({ pools }: VolumeBody, profile: Profile | undefined): (readonly string[])[] {
  return [pools, profile?.pools].filter((each) => each !== undefined)
}

function profileOf(state: LedgerState, body: VolumeBody | undefined): Profile | undefined {
  return body?.profile === undefined ? undefined : find(state, 'profile', body.profile)
}

function sourceOf(
  state: LedgerState,
  caller: Caller,
  { from }: VolumeBody,
): { source: Source; fs: VolumeFs } | undefined {
  if (from?.snapshot !== undefined) {
    const { id, fs } = findSnapshot(state, caller, from.snapshot)
    return { source: { kind: 'snapshot', id }, fs }
  }
  if (from?.volume !== undefined) {
    const { id, fs } = findVolume(state, caller, from.volume)
    return { source: { kind: 'volume', id }, fs }
  }
  return undefined
}
