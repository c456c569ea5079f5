import type { Driver, PoolTarget } from '../drivers/driver.ts'
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
  #specs = new Map<string, PoolSpec>()
  #installation = ''

  constructor(drivers: ReadonlyMap<string, Driver>) {
    this.#drivers = drivers
  }

  set(installation: string, specs: readonly PoolSpec[]): void {
    this.#installation = installation
    this.#specs = new Map(specs.map((spec) => [spec.id, spec]))
  }

  get ids(): string[] {
    return [...this.#specs.keys()]
  }

  spec(poolId: string): PoolSpec | undefined {
    return this.#specs.get(poolId)
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
    const { id, name, uuid, settings } = spec
    return { driver, spec, target: { id, name, uuid, settings, installation: this.#installation } }
  }
}
