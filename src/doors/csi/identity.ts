import {
  PluginCapability_VolumeExpansion_Type as Expansion,
  type Identity,
  PluginCapability_Service_Type as Service,
} from '../../csi/generated/csi/v1/csi_pb.js'
import type { UnaryHandlers } from '../../csi/service.ts'
import { PLUGIN_NAME } from './words.ts'

export interface IdentityParts {
  readonly version: string
  /** Which services this socket has besides. */
  readonly controller: boolean
  readonly groupController: boolean
  /** Whether a call would find what it needs. */
  readonly ready: () => boolean | Promise<boolean>
}

export function identityService(parts: IdentityParts): UnaryHandlers<typeof Identity> {
  const services = [
    ...(parts.controller ? [Service.CONTROLLER_SERVICE] : []),
    // a volume is reached by the nodes that reach its pool
    Service.VOLUME_ACCESSIBILITY_CONSTRAINTS,
    ...(parts.groupController ? [Service.GROUP_CONTROLLER_SERVICE] : []),
  ]
  const capabilities = [
    ...services.map((type) => ({ type: { case: 'service' as const, value: { type } } })),
    { type: { case: 'volumeExpansion' as const, value: { type: Expansion.ONLINE } } },
  ]
  return {
    getPluginInfo: async () => ({ name: PLUGIN_NAME, vendorVersion: parts.version }),
    getPluginCapabilities: async () => ({ capabilities }),
    probe: async () => ({ ready: await parts.ready() }),
  }
}
