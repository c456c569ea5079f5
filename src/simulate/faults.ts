import type { MemoryDisk } from '../store/memory.ts'
import type { ControllerHost } from './controller-host.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import type { FaultName, Profile } from './profiles.ts'
import type { World } from './world.ts'

const HOUR_MS = 60 * 60_000

export interface FaultsParts {
  readonly world: World
  readonly profile: Profile
  readonly machines: readonly Machine[]
  readonly hosts: readonly ControllerHost[]
  readonly network: Network
  readonly disk: MemoryDisk
  readonly poolIds: () => string[]
}

/** Breaks things, as the profile and the seed say, until it is told to stop. */
export class Faults {
  readonly #parts: FaultsParts
  #stopped = false

  constructor(parts: FaultsParts) {
    this.#parts = parts
  }

  start(): void {
    void this.#live()
    void this.#supervise()
  }

  /** Nothing new breaks, and what is broken heals. */
  heal(): void {
    this.#stopped = true
    const { machines, hosts, network } = this.#parts
    network.heal()
    for (const host of hosts) host.skew = 0
    for (const machine of machines) {
      machine.outages.clear()
      if (!machine.on) machine.boot()
      machine.startDaemon()
    }
  }

  async #live(): Promise<void> {
    const { world, profile } = this.#parts
    while (!this.#stopped) {
      await world.sleep(world.random.int(1, profile.pace * 2))
      if (!this.#stopped) this.#break(world.random.weighted(profile.faults))
    }
  }

  /** What starts a controller where none leads: a supervisor with a lock that is good, but not perfect. */
  async #supervise(): Promise<void> {
    const { world, hosts } = this.#parts
    for (;;) {
      await world.sleep(world.random.int(500, 3000))
      if (hosts.some((host) => host.up && !host.realm.paused)) continue
      world.random.pick(hosts)?.start()
    }
  }

  #break(fault: FaultName): void {
    const { world, machines, hosts } = this.#parts
    const { random } = world
    const machine = random.pick(machines) as Machine
    const host = random.pick(hosts) as ControllerHost
    if (fault.endsWith('controller') || fault === 'second-leader' || fault === 'store-crash') {
      this.#breakController(fault, hosts.find((each) => each.leads) ?? host)
      return
    }
    world.trace('fault', `${fault} ${machine.name}`)
    switch (fault) {
      case 'kill-daemon':
        machine.killDaemon()
        world.after(random.int(200, 12_000), () => machine.startDaemon())
        return
      case 'pause-daemon':
        machine.pauseDaemon(random.int(500, 30_000))
        return
      case 'reboot':
        machine.off()
        world.after(random.int(1000, 10_000), () => this.#on(machine))
        return
      case 'power-off':
        machine.off()
        world.after(random.int(15_000, 60_000), () => this.#on(machine))
        return
      case 'pause-machine':
        machine.kernel.realm.pause(random.int(500, 30_000))
        return
      case 'partition':
        this.#partition(machine)
        return
      case 'slow-network':
        this.#parts.network.slowDown(random.int(5000, 25_000))
        return
      case 'cut-streams':
        for (const stream of machine.streams) stream.breakOff(random.int(1, 2000))
        return
      case 'storage-outage': {
        const poolId = random.pick(this.#parts.poolIds())
        if (poolId !== undefined) machine.outages.set(poolId, world.time + random.int(2000, 30_000))
        return
      }
      case 'clock-jump': {
        const skew = random.int(-HOUR_MS, HOUR_MS) * (random.chance(0.2) ? 5 : 1)
        if (random.chance(0.3)) machine.skew += skew
        else host.skew = random.chance(0.3) ? 0 : skew
      }
    }
  }

  #on(machine: Machine): void {
    if (!machine.on) machine.boot()
  }

  #partition(machine: Machine): void {
    const { world, hosts, network } = this.#parts
    const ms = world.random.int(1000, 45_000)
    const all = world.random.chance(0.6)
    for (const host of hosts) {
      if (all || world.random.chance(0.5)) network.cut(machine.name, host.name, ms)
    }
  }

  #breakController(fault: FaultName, leader: ControllerHost): void {
    const { world, hosts, disk } = this.#parts
    const { random } = world
    world.trace('fault', `${fault} ${leader.name}`)
    switch (fault) {
      case 'kill-controller':
        if (leader.up) leader.kill()
        return
      case 'pause-controller':
        leader.realm.pause(random.int(500, 40_000))
        return
      case 'second-leader':
        random.pick(hosts.filter((host) => host !== leader))?.start()
        return
      case 'store-crash':
        disk.crash()
    }
  }
}
