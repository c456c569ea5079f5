import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { ContainerInfo, ContainerMount, ContainerVolume, DockerVolume, Isolator } from './container-info.ts'

/** Mesos src/slave/containerizer/mesos/isolators/docker/volume/driver.cpp */
const MOUNT_MS = 120_000
const UNMOUNT_MS = 600_000

export interface DockerVolumeIsolatorOptions {
  /** The agent's environment; `dvdcli` must be in its PATH. */
  readonly env: Readonly<Record<string, string>>
  /** The agent's working directory. */
  readonly cwd: string
}

/**
 * The `docker/volume` isolator of an agent. It calls `dvdcli mount` once for each volume of each container, also when
 * the volume is mounted already, and `dvdcli unmount` once, when the last container that has it is gone; after a mount
 * that failed, too. Read-only is not told to dvdcli.
 */
export class DockerVolumeIsolator implements Isolator {
  readonly #program: string
  readonly #options: DockerVolumeIsolatorOptions
  readonly #containers = new Map<string, readonly DockerVolume[]>()
  readonly #turns = new Map<string, Promise<unknown>>()
  /** Unmounts that failed: the container counts as destroyed with an error. */
  destroyErrors = 0

  /** @throws when dvdcli is not in the agent's PATH: such an agent does not start */
  constructor(options: DockerVolumeIsolatorOptions) {
    const found = (options.env.PATH ?? '')
      .split(delimiter)
      .map((folder) => join(folder, 'dvdcli'))
      .find(isExecutable)
    if (found === undefined) throw new Error("Failed to create docker volume isolator: 'dvdcli' is not found")
    this.#program = found
    this.#options = options
  }

  async prepare(containerId: string, container: ContainerInfo): Promise<ContainerMount[]> {
    const asked = (container.volumes ?? []).flatMap((volume) => {
      const docker = volume.source?.docker_volume
      return volume.source?.type === 'DOCKER_VOLUME' && docker !== undefined ? [{ volume, docker }] : []
    })
    const seen = new Set<string>()
    for (const { docker } of asked) {
      if (docker.driver === undefined) throw new Error('The volume driver is not specified for docker volume')
      if (seen.has(keyOf(docker))) {
        throw new Error(`Found duplicate docker volume with driver '${docker.driver}' and name '${docker.name}'`)
      }
      seen.add(keyOf(docker))
    }
    this.#containers.set(
      containerId,
      asked.map(({ docker }) => docker),
    )
    const mounted = await Promise.allSettled(asked.map((each) => this.#mount(each.volume, each.docker)))
    const failed = mounted.find((each) => each.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return mounted.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  }

  async #mount(volume: ContainerVolume, docker: DockerVolume): Promise<ContainerMount> {
    const options = new Map((docker.driver_options?.parameter ?? []).map(({ key, value }) => [key, value]))
    const args = [...options].map(([key, value]) => `--volumeopts=${key}=${value}`)
    const printed = await this.#inTurn(docker, () => this.#run(['mount', ...nameOf(docker), ...args], MOUNT_MS))
    return { source: printed.trim(), containerPath: volume.container_path, readOnly: volume.mode === 'RO' }
  }

  async cleanup(containerId: string): Promise<void> {
    const mine = this.#containers.get(containerId) ?? []
    this.#containers.delete(containerId)
    const others = new Set([...this.#containers.values()].flat().map(keyOf))
    const last = mine.filter((docker) => !others.has(keyOf(docker)))
    const ended = await Promise.allSettled(
      last.map((docker) => this.#inTurn(docker, () => this.#run(['unmount', ...nameOf(docker)], UNMOUNT_MS))),
    )
    const failed = ended.find((each) => each.status === 'rejected')
    if (failed === undefined) return
    this.destroyErrors++
    throw failed.reason
  }

  /** One call at a time for a volume, several volumes at once. */
  #inTurn<T>(docker: DockerVolume, call: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(keyOf(docker)) ?? Promise.resolve()
    const turn = before.then(call, call)
    this.#turns.set(keyOf(docker), turn)
    return turn
  }

  #run(args: readonly string[], timeout: number): Promise<string> {
    const { cwd, env } = this.#options
    return new Promise((resolve, reject) => {
      const child = execFile(
        this.#program,
        args,
        { cwd, env, timeout, killSignal: 'SIGKILL' },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout)
          else reject(new Error(`Unexpected termination of the subprocess: ${stderr}`))
        },
      )
      child.stdin?.end()
    })
  }
}

function nameOf(docker: DockerVolume): string[] {
  return [`--volumedriver=${docker.driver}`, `--volumename=${docker.name}`]
}

function keyOf(docker: DockerVolume): string {
  return JSON.stringify([docker.driver, docker.name])
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
