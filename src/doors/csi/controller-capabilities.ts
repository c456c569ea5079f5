import type { VolumeCapability } from '../../csi/generated/csi/v1/csi_pb.js'
import type { Access } from '../../model/volume.ts'
import { badField } from './fields.ts'
import { checkOffered, type Offered, readWish, type Wish } from './node-wish.ts'

/** What a volume must be so that it can be had in every way that was asked for. */
export interface Needs {
  readonly kind: 'mount' | 'block'
  /** Empty: no wish. */
  readonly fsType: string
  /** The least that serves. */
  readonly access: Access
  readonly wishes: readonly Wish[]
}

/** All of them, not one of them (csi.proto, CreateVolumeRequest.volume_capabilities). @throws INVALID_ARGUMENT */
export function readNeeds(capabilities: readonly VolumeCapability[]): Needs {
  const field = 'volume_capabilities'
  const wishes = capabilities.map(readWish)
  const [first] = wishes
  if (first === undefined) throw badField(field, 'missing')
  if (wishes.some(({ kind }) => kind !== first.kind)) {
    throw badField(field, 'a volume is either mounted or used as a block device, not both')
  }
  const types = new Set(wishes.map(({ fsType }) => fsType).filter((each) => each !== ''))
  if (types.size > 1) throw badField(field, `a volume has one filesystem, not ${[...types].join(' and ')}`)
  const [fsType = ''] = types
  return { kind: first.kind, fsType, access: accessFor(wishes), wishes }
}

function accessFor(wishes: readonly Wish[]): Access {
  const modes = new Set(wishes.map(({ access }) => access))
  // a writer beside readers needs a filesystem for several machines, too
  if (modes.has('MULTI_NODE_MULTI_WRITER') || modes.has('MULTI_NODE_SINGLE_WRITER')) return 'many-writers'
  return modes.has('MULTI_NODE_READER_ONLY') ? 'many-readers' : 'single-writer'
}

/** Why a volume cannot be had in all of these ways; undefined: it can. */
export function unmet(wishes: readonly Wish[], offered: Offered): string | undefined {
  try {
    for (const wish of wishes) checkOffered(wish, offered)
    return undefined
  } catch (thrown) {
    return (thrown as Error).message
  }
}
