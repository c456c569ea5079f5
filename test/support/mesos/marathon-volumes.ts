/** How Marathon says an app's external volumes to Mesos (Marathon 1.11: DVDIProvider.scala, CSIProvider.scala). */

import type { ContainerInfo, ContainerVolume } from './container-info.ts'

type Source = NonNullable<ContainerVolume['source']>

import { type AppVolume, csiOptions, type ExternalVolume, type MarathonApp, volumesOf } from './marathon-app.ts'

const PREFIX = 'dvdi/'

/** The container of an app's task, undefined when nothing needs to be said of it. */
export function containerInfo(app: MarathonApp): ContainerInfo | undefined {
  const volumes = volumesOf(app).flatMap((volume) => {
    return volume.external === undefined ? [] : [containerVolume(volume, volume.external)]
  })
  return volumes.length === 0 ? undefined : { type: app.container?.type ?? 'MESOS', volumes }
}

function containerVolume(volume: AppVolume, external: ExternalVolume): ContainerVolume {
  return {
    container_path: volume.containerPath,
    mode: volume.mode ?? 'RW',
    source: external.provider === 'csi' ? csiSource(external) : dockerSource(external),
  }
}

function dockerSource(external: ExternalVolume): Source {
  const options = new Map<string, string>()
  for (const [key, value] of Object.entries(external.options ?? {})) {
    if (key.startsWith(PREFIX) && key !== 'dvdi/driver') options.set(key.slice(PREFIX.length), String(value).trim())
  }
  if (external.size !== undefined) options.set('size', String(external.size))
  const parameter = [...options].map(([key, value]) => ({ key, value }))
  const driver = String(external.options?.['dvdi/driver'])
  return {
    type: 'DOCKER_VOLUME',
    docker_volume: {
      driver,
      name: external.name,
      ...(parameter.length === 0 ? {} : { driver_options: { parameter } }),
    },
  }
}

function csiSource(external: ExternalVolume): Source {
  const options = csiOptions(external)
  if (options === undefined) throw new Error(`volume ${external.name} has no options for csi`)
  const { capability } = options
  const { accessType, accessMode, fsType, mountFlags } = capability
  const mount = {
    ...(fsType === undefined ? {} : { fs_type: fsType }),
    ...(mountFlags === undefined ? {} : { mount_flags: mountFlags }),
  }
  return {
    type: 'CSI_VOLUME',
    csi_volume: {
      plugin_name: options.pluginName,
      static_provisioning: {
        volume_id: external.name,
        volume_capability: {
          ...(accessType === 'block' ? { block: {} } : { mount }),
          access_mode: { mode: accessMode },
        },
        ...secrets('node_stage_secrets', options.nodeStageSecret),
        ...secrets('node_publish_secrets', options.nodePublishSecret),
        ...(options.volumeContext === undefined ? {} : { volume_context: options.volumeContext }),
      },
    },
  }
}

/** Only ever references: what they refer to is no business of the framework. */
function secrets(key: string, named: Readonly<Record<string, string>> | undefined): object {
  if (named === undefined) return {}
  const references = Object.entries(named).map(([name, secret]) => {
    return [name, { type: 'REFERENCE', reference: { name: secret } }]
  })
  return { [key]: Object.fromEntries(references) }
}
