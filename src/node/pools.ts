import type { Driver, NodeIdentity, PoolTarget } from '../drivers/driver.ts'
import { HoldfastError } from '../model/errors.ts'
import type { PoolSpec } from '../model/node-protocol.ts'

export interface PoolAccess {
  readonly driver: Driver
  readonly target: PoolTarget
  readonly spec: PoolSpec
}

/** The pools that the controller told this node of, with the drivers that this node has for them. */
export class NodePools {
  readonly #drivers: ReadonlyMap<string, Driver>
  readonly #bootId: string
  #specs = new Map<string, PoolSpec>()
  #installation = ''
  #nodeId = ''
  /** By pool and object. */
  readonly #handles = new Map<string, string>()

  constructor(drivers: ReadonlyMap<string, Driver>, bootId: string) {
    this.#drivers = drivers
    this.#bootId = bootId
  }

  set(installation: string, nodeId: string, specs: readonly PoolSpec[]): void {
    this.#installation = installation
    this.#nodeId = nodeId
    this.#specs = new Map(specs.map((spec) => [spec.id, spec]))
  }

  get ids(): string[] {
    return [...this.#specs.keys()]
  }

  spec(poolId: string): PoolSpec | undefined {
    return this.#specs.get(poolId)
  }

  /** This node, as storage may know it. */
  get node(): NodeIdentity {
    return { id: this.#nodeId, bootId: this.#bootId }
  }

  /** What the storage calls an object, as the controller or the storage itself has just said. */
  learn({ poolId, object, handle }: { poolId: string; object?: string; handle?: string | undefined }): void {
    if (object !== undefined && handle !== undefined) this.#handles.set(`${poolId}/${object}`, handle)
  }

  /** The object is gone, and with it what the storage called it. */
  unlearn(poolId: string, object: string): void {
    this.#handles.delete(`${poolId}/${object}`)
  }

  /** @throws no_reach when the pool is not known here, unsupported when its driver is not */
  access(poolId: string): PoolAccess {
    const spec = this.#specs.get(poolId)
    if (spec === undefined) throw new HoldfastError('no_reach', `this node was not told of pool ${poolId}`)
    const driver = this.#drivers.get(spec.driver)
    if (driver === undefined) {
      const known = [...this.#drivers.keys()].join(', ')
      throw new HoldfastError('unsupported', `pool ${spec.name}: there is no driver ${spec.driver} here (${known})`)
    }
    driver.checkSettings(spec.settings)
    const { id, name, uuid, settings, handle } = spec
    const handleOf = (object: string) => this.#handles.get(`${id}/${object}`)
    const { node } = this
    return {
      driver,
      spec,
      target: { id, name, uuid, settings, installation: this.#installation, node, handle, handleOf },
    }
  }
}
