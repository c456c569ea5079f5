import { type Static, Type } from 'typebox'
import { Millis, Name, PoolName, Rate } from './fields.ts'
import { Access, VolumeFs } from './volume.ts'

/** A named set of volume parameters that a caller may choose instead of writing them out. */
export const Profile = Type.Object({
  /** The profile's name is its id. */
  id: Name,
  fs: VolumeFs,
  access: Access,
  /** IOPS whatever the size; added to what `iopsPerGiB` makes. */
  iops: Rate,
  /** IOPS for each GiB that is begun. */
  iopsPerGiB: Rate,
  /** Pools in which it may be used; absent: all. */
  pools: Type.Optional(Type.Array(PoolName, { maxItems: 256 })),
  createdAt: Millis,
})
export type Profile = Static<typeof Profile>

/** IOPS that a volume of this size takes under a profile. */
export function profileIops(profile: Pick<Profile, 'iops' | 'iopsPerGiB'>, sizeMiB: number): number {
  return profile.iops + Math.ceil(sizeMiB / 1024) * profile.iopsPerGiB
}

/** The largest size, in MiB, that so many IOPS can back under a profile; 0 when not even its fixed part fits. */
export function backableMiB(profile: Pick<Profile, 'iops' | 'iopsPerGiB'>, freeIops: number): number {
  if (freeIops < profile.iops) return 0
  if (profile.iopsPerGiB === 0) return Number.POSITIVE_INFINITY
  return Math.floor((freeIops - profile.iops) / profile.iopsPerGiB) * 1024
}
