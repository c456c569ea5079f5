import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../../../src/simulate/random.ts'
import type { AgentDouble } from '../../support/mesos/cluster.ts'
import type { Book } from './book.ts'
import type { Daemon } from './daemon.ts'
import type { StormFramework } from './storm-framework.ts'
import type { Machine, System } from './system.ts'

export type Kill = 'logic' | 'node' | 'controller' | 'agent' | 'master' | 'holder' | 'teardown'

/** How often each thing is done, against the others. */
export type Kills = Readonly<Partial<Record<Kill, number>>>

/** A part of the provider's process tree whose command line has this is its logic. */
const LOGIC = 'logic-child'

/** What was killed, and until when it was away. */
export interface Strike {
  readonly kill: Kill
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly at: number
  backAt: number | undefined
}

interface Victim {
  readonly name: string
  /** How long it stays away. */
  readonly atMostMs: number
  readonly end: () => unknown
  readonly begin: () => unknown
}

function ofDaemon(daemon: Daemon): Victim {
  return { name: daemon.name, atMostMs: 1500, end: () => daemon.kill9(), begin: () => daemon.start() }
}

/** Kills at random, and is the supervisor that starts again what it killed. */
export class Chaos {
  readonly counts = new Map<Kill, number>()
  readonly strikes: Strike[] = []
  readonly #random: Random
  readonly #system: System
  readonly #frameworks: readonly StormFramework[]
  readonly #book: Book
  readonly #kills: Kills
  /** What is down, so that it is not killed again before it is back. */
  readonly #down = new Set<string>()
  readonly #pending = new Set<Promise<void>>()

  constructor(random: Random, system: System, frameworks: readonly StormFramework[], book: Book, kills: Kills) {
    this.#random = random
    this.#system = system
    this.#frameworks = frameworks
    this.#book = book
    this.#kills = kills
  }

  strike(): void {
    const kill = this.#random.weighted(this.#kills as Record<Kill, number>)
    const machine = this.#random.pick(this.#system.machines)
    const agent = this.#random.pick(this.#system.mesos.agents)
    if (machine === undefined || agent === undefined) return
    if (kill === 'teardown') this.#teardown()
    else if (kill === 'logic') this.#killLogic(machine)
    else this.#outage(kill, this.#victim(kill, machine, agent))
  }

  #victim(kill: Exclude<Kill, 'logic' | 'teardown'>, machine: Machine, agent: AgentDouble): Victim {
    const { mesos, controller } = this.#system
    switch (kill) {
      case 'node':
        return ofDaemon(machine.node)
      case 'holder':
        return ofDaemon(machine.provider)
      case 'controller':
        return ofDaemon(controller)
      case 'agent':
        return { name: agent.hostname, atMostMs: 1000, end: () => agent.kill(), begin: () => agent.start() }
      case 'master':
        return { name: 'master', atMostMs: 500, end: () => mesos.master.kill(), begin: () => mesos.master.start() }
    }
  }

  #killLogic({ provider }: Machine): void {
    if (provider.kill9Child(LOGIC)) this.#count('logic', provider.name)
  }

  #teardown(): void {
    // one whose disk is being made is the one that hurts
    const making = new Set(this.#book.openOperations.map((operation) => operation.framework))
    const connected = this.#frameworks.filter(({ isConnected }) => isConnected)
    const framework =
      this.#random.pick(connected.filter(({ name }) => making.has(name))) ?? this.#random.pick(connected)
    if (framework === undefined) return
    this.#count('teardown', framework.name)
    this.#track(framework.teardown())
  }

  /** It is down for a while. */
  #outage(kill: Kill, { name, atMostMs, end, begin }: Victim): void {
    if (this.#down.has(name)) return
    this.#down.add(name)
    const strike = this.#count(kill, name)
    const awayMs = this.#random.int(0, atMostMs)
    const run = async () => {
      await end()
      await delay(awayMs)
      await begin()
      strike.backAt = Date.now()
      this.#book.tell(`BACK ${name}`)
      this.#down.delete(name)
    }
    this.#track(run())
  }

  #count(kill: Kill, name: string): Strike {
    const strike = { kill, name, at: Date.now(), backAt: undefined }
    this.strikes.push(strike)
    this.#book.tell(`KILL ${kill} ${name}`)
    this.counts.set(kill, (this.counts.get(kill) ?? 0) + 1)
    return strike
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((thrown: unknown) => {
        this.#book.violations.push(
          `the supervisor failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        )
      })
      .finally(() => this.#pending.delete(tracked))
    this.#pending.add(tracked)
  }

  /** Everything is up again. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }
}

/** What ended although nobody had killed it. */
export function surprises(daemons: readonly Daemon[]): string[] {
  return daemons.flatMap((daemon) => daemon.surprises)
}
