import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { LedgerState } from '../../ledger/state.ts'
import { isLowOnStorage, isThin } from '../../model/pool.ts'
import type { Batch, Store } from '../../store/store.ts'
import type { Controller } from '../controller.ts'
import type { MesosView } from '../mesos/mesos-view.ts'
import { poolUsage } from './show-pools.ts'

const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const COMMANDS = [1, 2, 5, 10, 20, 50, 100]

/** What the controller tells Prometheus. Figures of the ledger are read when they are asked for, from a durable state. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #commits = new Histogram({
    name: 'holdfast_commit_seconds',
    help: 'Time until a batch was durable.',
    buckets: SECONDS,
    registers: [this.#registry],
  })
  readonly #batches = new Histogram({
    name: 'holdfast_batch_commands',
    help: 'Accepted commands in a batch.',
    buckets: COMMANDS,
    registers: [this.#registry],
  })
  readonly #accepted = this.#counter(
    'holdfast_commands_accepted_total',
    'Accepted commands, by what they did.',
    'event',
  )
  readonly #refused = this.#counter(
    'holdfast_commands_refused_total',
    'Refused requests for commands, by error code.',
    'code',
  )
  readonly #pools: ReturnType<typeof poolGauges>
  readonly #states: ReturnType<typeof stateGauges>
  readonly #mesos: ReturnType<typeof mesosGauges>

  /** @param ofProcess also measures the process itself: memory, event loop, garbage collection */
  constructor(options: { ofProcess?: boolean } = {}) {
    if (options.ofProcess === true) collectDefaultMetrics({ register: this.#registry })
    const gauge = (name: string, help: string, ...labelNames: string[]) =>
      new Gauge({ name: `holdfast_${name}`, help, labelNames, registers: [this.#registry] })
    this.#pools = poolGauges(gauge)
    this.#states = stateGauges(gauge)
    this.#mesos = mesosGauges(gauge)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  refused(code: string): void {
    this.#refused.inc({ code })
  }

  /** Counts what the engine accepts. Returns what ends it. */
  observe(controller: Controller): () => void {
    return controller.engine.onCommitted(({ events }) => {
      for (const { type } of events) this.#accepted.inc({ event: type })
    })
  }

  /** The same store, its commits measured. */
  measured(store: Store): Store {
    const commit = async (batch: Batch) => {
      const begun = performance.now()
      await store.commit(batch)
      this.#commits.observe((performance.now() - begun) / 1000)
      this.#batches.observe(batch.events.length)
    }
    return {
      campaign: () => store.campaign(),
      load: (onRecord) => store.load(onRecord),
      commit,
      events: (after, limit) => store.events(after, limit),
      confirm: () => store.confirm(),
      trimEvents: (through) => store.trimEvents(through),
      close: () => store.close(),
    }
  }

  /** The text that Prometheus reads. */
  async text(controller: Controller, mesos?: MesosView): Promise<string> {
    const { engine, sessions } = controller
    const { leading, waiting, connected } = this.#states
    this.#mesos.masters.set(mesos?.connected === true ? 1 : 0)
    this.#mesos.providers.set(controller.providers.connected.size)
    leading.set(engine.leading ? 1 : 0)
    waiting.set(engine.waiting)
    connected.set(sessions.connected)
    // a controller that does not lead knows nothing of the ledger, and says nothing
    if (engine.leading) {
      await engine.read((state) => {
        this.#readPools(state)
        this.#readStates(state)
      })
    }
    return this.#registry.metrics()
  }

  #readPools(state: LedgerState): void {
    for (const gauge of Object.values(this.#pools)) gauge.reset()
    const set = this.#pools
    for (const each of state.all('pool').values()) {
      const pool = each.name
      const usage = poolUsage(state, each)
      set.capacityMiB.set({ pool }, each.capacityMiB)
      set.limitMiB.set({ pool }, usage.limitMiB)
      set.usedMiB.set({ pool }, usage.usedMiB)
      set.heldMiB.set({ pool }, usage.heldMiB)
      set.freeMiB.set({ pool }, usage.freeMiB)
      set.thin.set({ pool }, isThin(each) ? 1 : 0)
      set.low.set({ pool }, isLowOnStorage(each) ? 1 : 0)
      set.usedIops.set({ pool }, usage.iopsUsed)
      set.heldIops.set({ pool }, usage.iopsHeld)
      if (usage.iopsLimit !== null) set.limitIops.set({ pool }, usage.iopsLimit)
      if (usage.iopsFree !== null) set.freeIops.set({ pool }, usage.iopsFree)
    }
  }

  #readStates(state: LedgerState): void {
    const { nodes, attachments, volumes, operations, overdue, revision, deficits, suspended } = this.#states
    for (const gauge of [nodes, attachments, volumes, operations]) gauge.reset()
    for (const node of state.all('node').values()) nodes.inc({ state: node.state })
    for (const attachment of state.all('attachment').values()) attachments.inc({ state: attachment.state })
    for (const volume of state.all('volume').values()) volumes.inc({ state: volume.state })
    let late = 0
    for (const operation of state.all('operation').values()) {
      operations.inc({ state: operation.state, kind: operation.kind })
      if (operation.overdue) late += 1
    }
    overdue.set(late)
    revision.set(state.revision)
    deficits.set(state.all('deficit').size)
    suspended.set(state.get('clock', 'clock') === undefined ? 0 : 1)
    this.#mesos.guard.set(state.get('guard', 'mesos')?.state === 'verified' ? 1 : 0)
  }

  #counter(name: string, help: string, label: string): Counter {
    return new Counter({ name, help, labelNames: [label], registers: [this.#registry] })
  }
}

type MakeGauge = (name: string, help: string, ...labels: string[]) => Gauge

function poolGauges(gauge: MakeGauge) {
  return {
    capacityMiB: gauge('pool_capacity_mib', 'Declared capacity.', 'pool'),
    limitMiB: gauge('pool_limit_mib', 'Capacity times over-commit, less the reserve.', 'pool'),
    usedMiB: gauge('pool_used_mib', 'Taken by volumes, snapshots and the trash.', 'pool'),
    heldMiB: gauge('pool_held_mib', 'Set aside by holds.', 'pool'),
    freeMiB: gauge('pool_free_mib', 'Free.', 'pool'),
    limitIops: gauge('pool_limit_iops', 'IOPS of the pool; absent when it counts none.', 'pool'),
    usedIops: gauge('pool_used_iops', 'IOPS taken by volumes.', 'pool'),
    heldIops: gauge('pool_held_iops', 'IOPS set aside by holds.', 'pool'),
    freeIops: gauge('pool_free_iops', 'IOPS free; absent when the pool counts none.', 'pool'),
    thin: gauge('pool_thin', '1 when more capacity is declared than the storage has.', 'pool'),
    low: gauge('pool_low_on_storage', '1 when the storage itself has less than 5 % free.', 'pool'),
  }
}

function stateGauges(gauge: MakeGauge) {
  return {
    leading: gauge('leading', '1 while this controller leads.'),
    waiting: gauge('commands_waiting', 'Commands that wait to be decided.'),
    connected: gauge('nodes_connected', 'Nodes with an open stream.'),
    nodes: gauge('nodes', 'Nodes by state.', 'state'),
    attachments: gauge('attachments', 'Attachments by state.', 'state'),
    volumes: gauge('volumes', 'Volumes by state.', 'state'),
    operations: gauge('operations', 'Operations by state and kind.', 'state', 'kind'),
    overdue: gauge('operations_overdue', 'Operations that run for longer than they should.'),
    revision: gauge('revision', 'Number of the last accepted command.'),
    deficits: gauge('deficits', 'Accounts above their limit because of facts from outside.'),
    suspended: gauge('clock_suspended', '1 while expiry waits for an operator to confirm the clock.'),
  }
}

function mesosGauges(gauge: MakeGauge) {
  return {
    guard: gauge('mesos_guard', "1 while the masters' ACLs were verified."),
    masters: gauge('mesos_masters_connected', 'Leading masters whose events are received: 1 or 0.'),
    providers: gauge('mesos_providers_connected', 'Provider processes with an open stream.'),
  }
}
