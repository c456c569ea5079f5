/** Mistakes to plant into the program, to see whether the simulation finds them. See scripts/plant-bugs.ts. */
export interface Plant {
  readonly name: string
  /** What is wrong with it. */
  readonly what: string
  /** The profile under which it shows best: tried when only the first seed that finds it is wanted. */
  readonly profile?: string
  readonly changes: readonly { readonly file: string; readonly from: string; readonly to: string }[]
}

export const PLANTS: readonly Plant[] = [
  {
    name: 'epoch-unchecked',
    what: 'the ledger takes a proof for any epoch and any claims',
    profile: 'echo',
    changes: [
      { file: 'src/ledger/attachments.ts', from: ' || attachment.epoch !== command.epoch) {', to: ') {' },
      { file: 'src/ledger/attachments.ts', from: 'if (attachment.claims !== command.claims)', to: 'if (false)' },
    ],
  },
  {
    name: 'node-ignores-epochs',
    what: 'a node follows whatever it was told, long ago or by whomever',
    changes: [
      {
        file: 'src/node/daemon.ts',
        from: 'if (this.#told && this.#parts.clock.boottime() < this.#session.leaseUntil) return',
        to: 'return',
      },
      { file: 'src/node/slot.ts', from: 'if (released === undefined ||', to: 'if (true ||' },
      { file: 'src/node/volume-table.ts', from: '    this.#checkEpoch(slot, spec)\n', to: '' },
      { file: 'src/node/volume-table.ts', from: '    this.#checkCurrent(spec, revision)\n', to: '' },
      {
        file: 'src/node/volume-table.ts',
        from: 'if (revision < slot.revision || spec',
        to: 'if (spec',
      },
      { file: 'src/node/session.ts', from: 'if (assignment.term < this.#term ||', to: 'if (false &&' },
    ],
  },
  {
    name: 'answer-before-commit',
    what: 'the engine answers before the batch is durable',
    changes: [
      {
        file: 'src/controller/engine.ts',
        from: 'if (!this.#open.isEmpty) this.#open.waiters.push(waiter)',
        to: 'waiter.release()\n    if (true) return\n    if (!this.#open.isEmpty) this.#open.waiters.push(waiter)',
      },
    ],
  },
  {
    name: 'moved-without-proof',
    what: 'any work of a lost node is given to another one',
    changes: [
      {
        file: 'src/ledger/operations.ts',
        from: '  const idempotent = tx.get(',
        to: '  if (operation.step !== "mark") return true\n  const idempotent = tx.get(',
      },
      {
        file: 'src/ledger/proof.ts',
        from: 'export function restart(tx: Transaction, operation: Operation): Operation {\n  leaveAll(tx, operation)',
        to: 'export function restart(tx: Transaction, operation: Operation): Operation {\n  for (const used of usedBy(tx, operation)) tx.remove("attachment", used.id)',
      },
    ],
  },
  {
    name: 'no-blank-check',
    what: 'an object is formatted without looking what is on it',
    changes: [
      {
        file: 'src/node/hands.ts',
        from: 'if (!(await driver.isBlank(pool, object.object, signal))) {',
        to: 'if (false) {',
      },
      { file: 'src/node/hands.ts', from: 'if (before.type !== undefined) {', to: 'if (false) {' },
    ],
  },
  {
    name: 'lease-from-receipt',
    what: 'a node counts its lease from the answer, not from the request',
    changes: [
      { file: 'src/node/session.ts', from: 'sentAt + hello.leaseMs', to: 'clock.boottime() + hello.leaseMs' },
      { file: 'src/node/session.ts', from: 'sentAt + leaseMs', to: 'this.#parts.clock.boottime() + leaseMs' },
    ],
  },
  {
    name: 'lease-ignored',
    what: 'a node begins work without a lease',
    changes: [
      {
        file: 'src/node/daemon.ts',
        from: 'if (this.#told && this.#parts.clock.boottime() < this.#session.leaseUntil) return',
        to: 'return',
      },
    ],
  },
  {
    name: 'detach-unseen',
    what: 'a node reports a detach without looking whether it happened',
    changes: [
      {
        file: 'src/node/hands.ts',
        from: '    await driver.detach(pool, volume.object, signal)\n  }',
        to: '    await driver.detach(pool, volume.object, signal).catch(() => undefined)\n  }',
      },
    ],
  },
  {
    name: 'stale-session',
    what: 'reports and results are taken from a session that has ended',
    changes: [
      {
        file: 'src/ledger/attachments.ts',
        from: 'if (node.session !== command.session || node.bootId !== command.bootId) throw',
        to: 'if (false) throw',
      },
      {
        file: 'src/ledger/operations.ts',
        from: '  if (node.session !== command.session) throw staleSession(node.name)\n  const current',
        to: '  const current',
      },
      {
        file: 'src/controller/node-service.ts',
        from: "if (name !== 'hello' && !this.#parts.sessions.isCurrent(nodeId, session)) {",
        to: 'if (false) {',
      },
    ],
  },
  {
    name: 'old-leader-renews',
    what: 'a controller that was deposed goes on to renew leases',
    profile: 'quiet',
    changes: [{ file: 'src/controller/node-service.ts', from: '    await engine.confirm()\n', to: '' }],
  },
  {
    name: 'old-leader-refuses',
    what: 'a controller that was deposed refuses what its successor has accepted',
    profile: 'quiet',
    changes: [
      {
        file: 'src/controller/engine.ts',
        from: 'if (job.request.key === undefined) job.reject(error)',
        to: 'if (true) job.reject(error)',
      },
    ],
  },
  {
    name: 'void-work',
    what: 'a node does work that was taken back, or given to an earlier boot of it',
    changes: [
      { file: 'src/controller/assignment.ts', from: ' && !isFromEarlierBoot(state, operation)', to: '' },
      {
        file: 'src/node/worker.ts',
        from: 'if (this.#running.has(id)) this.#abort(id,',
        to: 'if (this.#running.has(id)) String(',
      },
      {
        file: 'src/node/daemon.ts',
        from: 'if (this.#told && this.#parts.clock.boottime() < this.#session.leaseUntil) return',
        to: 'return',
      },
    ],
  },
  {
    name: 'path-of-half-down',
    what: 'a volume that is half taken down still counts as mounted',
    changes: [{ file: 'src/node/volume-table.ts', from: "if (slot.actual === 'up') slot.actual = 'unknown'", to: '' }],
  },
  {
    name: 'key-forgotten',
    what: 'an accepted command is not remembered under its key',
    changes: [
      { file: 'src/ledger/decide.ts', from: 'if (key !== undefined) tx.put(', to: 'if (key === null) tx.put(' },
    ],
  },
  {
    name: 'overdrawn',
    what: 'a pool takes 5 % more than it has',
    changes: [
      {
        file: 'src/ledger/transaction.ts',
        from: 'used > before && !this.isFact',
        to: 'used > limit * 1.05 && used > before && !this.isFact',
      },
    ],
  },
  {
    name: 'clone-keeps-uuid',
    what: 'a copy keeps the UUID of its source',
    changes: [
      { file: 'src/node/hands.ts', from: 'await this.#filesystems.changeUuid(device, fs, uuid, signal)', to: '' },
    ],
  },
  {
    name: 'unfrozen-copy',
    what: 'a mounted filesystem is copied without standing still',
    changes: [{ file: 'src/node/hands.ts', from: 'if (target === undefined) return work()', to: 'return work()' }],
  },
]
