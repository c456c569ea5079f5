/** The part of a task's `container` that volumes are in (Mesos include/mesos/v1/mesos.proto). */
export interface ContainerInfo {
  readonly type: 'MESOS' | 'DOCKER'
  readonly volumes?: readonly ContainerVolume[]
}

export interface ContainerVolume {
  readonly container_path: string
  readonly mode: 'RW' | 'RO'
  readonly source?: {
    readonly type: string
    readonly docker_volume?: DockerVolume
    readonly csi_volume?: object
  }
}

export interface DockerVolume {
  readonly driver?: string
  readonly name: string
  readonly driver_options?: { readonly parameter?: readonly { readonly key: string; readonly value: string }[] }
}

/** A folder of the machine that a container gets at a path in its sandbox. */
export interface ContainerMount {
  readonly source: string
  readonly containerPath: string
  readonly readOnly: boolean
}

/** What an agent asks before a container starts, and tells after it has ended. */
export interface Isolator {
  /** @throws an error whose message is the reason in TASK_FAILED */
  prepare(containerId: string, container: ContainerInfo): Promise<readonly ContainerMount[]>
  /** Called for every container that was prepared, also when that failed. @throws what went wrong, as told to nobody */
  cleanup(containerId: string): Promise<void>
}
