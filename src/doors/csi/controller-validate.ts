import type { MessageInitShape } from '@bufbuild/protobuf'
import { asGrpcError } from '../../csi/error-codes.ts'
import type {
  ValidateVolumeCapabilitiesRequest,
  ValidateVolumeCapabilitiesResponseSchema,
} from '../../csi/generated/csi/v1/csi_pb.js'
import { readNeeds, unmet } from './controller-capabilities.ts'
import type { Ledger, ShownVolume } from './controller-ledger.ts'
import { type Parameters, volumeParameters } from './controller-parameters.ts'
import { foreignContext } from './controller-show.ts'
import { badField, checkMap, requiredText } from './fields.ts'

/** ValidateVolumeCapabilities: whether a volume can be had in all of these ways, and if not, why. */
export async function validate(
  ledger: Ledger,
  request: ValidateVolumeCapabilitiesRequest,
): Promise<MessageInitShape<typeof ValidateVolumeCapabilitiesResponseSchema>> {
  const volumeId = requiredText('volume_id', request.volumeId)
  const { volumeCapabilities, volumeContext, parameters, mutableParameters } = request
  if (volumeCapabilities.length === 0) throw badField('volume_capabilities', 'missing')
  for (const map of [volumeContext, parameters, mutableParameters]) checkMap('volume_context or parameters', map)
  const volume = await ledger.needVolume(volumeId)
  const message = whyNot(volume, request)
  if (message !== undefined) return { message }
  return { confirmed: { volumeContext, volumeCapabilities, parameters, mutableParameters } }
}

function whyNot(volume: ShownVolume, request: ValidateVolumeCapabilitiesRequest): string | undefined {
  try {
    const { wishes } = readNeeds(request.volumeCapabilities)
    const asked = volumeParameters(request.parameters, request.mutableParameters)
    return unmet(wishes, volume) ?? foreignContext(volume, request.volumeContext) ?? differing(volume, asked)
  } catch (thrown) {
    return asGrpcError(thrown).message
  }
}

/** What a volume was made of, as far as it still shows: profile, hold and labels of the pool do not. */
function differing(volume: ShownVolume, { pool, labels = {}, ...asked }: Parameters): string | undefined {
  if (pool !== undefined && pool !== volume.pool && pool !== volume.poolId) return `it is in pool ${volume.pool}`
  for (const key of ['fs', 'iops', 'role', 'access', 'protected', 'bandwidth'] as const) {
    if (asked[key] !== undefined && asked[key] !== volume[key]) return `its ${key} is ${volume[key]}`
  }
  const other = Object.entries(labels).find(([key, value]) => volume.labels[key] !== value)
  return other === undefined ? undefined : `its label ${other[0]} is ${volume.labels[other[0]] ?? 'not set'}`
}
