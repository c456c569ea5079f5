// Changes the ledger in one small place at a time and runs its tests on each changed copy: every change must make a
// test fail. Run by hand: `node scripts/mutate-ledger.ts [PART OF A NAME]`. Exits 1 if a change survived.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Mutation {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
}

const MUTATIONS: readonly Mutation[] = [
  {
    name: 'settle: a full account is over',
    file: 'ledger/transaction.ts',
    from: 'limit === undefined || used <= limit',
    to: 'limit === undefined || used < limit',
  },
  {
    name: 'settle: nothing is refused',
    file: 'ledger/transaction.ts',
    from: 'used > before && !this.isFact',
    to: 'false && !this.isFact',
  },
  {
    name: 'settle: facts are refused',
    file: 'ledger/transaction.ts',
    from: 'used > before && !this.isFact',
    to: 'used > before',
  },
  {
    name: 'settle: lowering is refused in deficit',
    file: 'ledger/transaction.ts',
    from: 'used > before && !this.isFact',
    to: 'used !== before && !this.isFact',
  },
  {
    name: 'settle: deficits keep old figures',
    file: 'ledger/transaction.ts',
    from: 'deficit?.used !== used || deficit.limit !== limit',
    to: 'deficit === undefined',
  },
  {
    name: 'settle: deficits stay',
    file: 'ledger/transaction.ts',
    from: 'if (deficit !== undefined) this.remove',
    to: 'if (false) this.remove',
  },
  {
    name: 'limit: the reserve is added',
    file: 'model/pool.ts',
    from: 'whole + rest - pool.reserveMiB',
    to: 'whole + rest + pool.reserveMiB',
  },
  { name: 'limit: the rest is lost', file: 'model/pool.ts', from: 'whole + rest -', to: 'whole -' },
  {
    name: 'roles: parents are not charged',
    file: 'model/names.ts',
    from: 'roles.push(role.slice(0, slash))',
    to: 'void roles',
  },
  {
    name: 'footprint: snapshots are free',
    file: 'ledger/accounts.ts',
    from: "    case 'volume':\n    case 'snapshot': {",
    to: "    case 'snapshot':\n      return []\n    case 'volume': {",
  },
  {
    name: 'footprint: the whole hold counts beside its draws',
    file: 'ledger/accounts.ts',
    from: 'storage(hold.poolId, hold.role, rest.sizeMiB, rest.iops)',
    to: 'storage(hold.poolId, hold.role, hold.sizeMiB, hold.iops)',
  },
  {
    name: 'draw: more than is left',
    file: 'ledger/holds.ts',
    from: 'want.sizeMiB > rest.sizeMiB || ',
    to: '',
  },
  {
    name: 'draw: on the hold of another role',
    file: 'ledger/holds.ts',
    from: ' || hold.role !== want.role',
    to: '',
  },
  {
    name: 'draw: not given back',
    file: 'ledger/holds.ts',
    from: 'drawnMiB: hold.drawnMiB - draw.sizeMiB',
    to: 'drawnMiB: hold.drawnMiB',
  },
  {
    name: 'hold: expires early',
    file: 'ledger/holds.ts',
    from: '(hold.expiresAt === undefined || hold.expiresAt > tx.now)',
    to: 'hold.expiresAt === undefined',
  },
  {
    name: 'attach: anybody may share',
    file: 'ledger/attachments.ts',
    from: '    throw heldBy(tx, volume, other)\n',
    to: '',
  },
  {
    name: 'attach: a reader beside a writer',
    file: 'ledger/attachments.ts',
    from: "mode === 'ro' && other.mode === 'ro'",
    to: "mode === 'ro'",
  },
  {
    name: 'attach: readers of a single-writer volume share',
    file: 'ledger/attachments.ts',
    from: "volume.access !== 'single-writer' && mode",
    to: 'mode',
  },
  {
    name: 'attach: the epoch stays',
    file: 'ledger/attachments.ts',
    from: 'const epoch = volume.epoch + 1',
    to: 'const epoch = Math.max(1, volume.epoch)',
  },
  {
    name: 'attach: a writer on a read-only volume',
    file: 'ledger/attachments.ts',
    from: "mode === 'rw' && volume.access === 'read-only'",
    to: 'false',
  },
  {
    name: 'join: beside an operation that writes a read-only volume',
    file: 'ledger/attachments.ts',
    from: "volume.access === 'read-only' && mine.mode === 'rw'",
    to: 'false',
  },
  {
    name: 'join: while it is fenced',
    file: 'ledger/attachments.ts',
    from: "if (mine.state === 'fencing') throw",
    to: "if (mine.state === 'stuck' && mine.users.length > 99) throw",
  },
  {
    name: 'join: no new claim is counted',
    file: 'ledger/attachments.ts',
    from: 'claims: mine.claims + 1,',
    to: 'claims: mine.claims,',
  },
  {
    name: 'join: work of an earlier boot goes on',
    file: 'ledger/attachments.ts',
    from: 'if (rebooted) restartUsers(tx, mine)',
    to: '',
  },
  {
    name: 'report: from a session that is over',
    file: 'ledger/attachments.ts',
    from: 'node.session !== command.session || node.bootId',
    to: 'node.bootId',
  },
  {
    name: 'report: from a boot that is over',
    file: 'ledger/attachments.ts',
    from: 'command.session || node.bootId !== command.bootId',
    to: 'command.session',
  },
  {
    name: 'report: of an epoch that is over',
    file: 'ledger/attachments.ts',
    from: ' || attachment.epoch !== command.epoch',
    to: '',
  },
  {
    name: 'report: detached while it is used',
    file: 'ledger/attachments.ts',
    from: 'attachment.users.length > 0 && !rebooted',
    to: 'false',
  },
  {
    name: 'report: detached before the last claim',
    file: 'ledger/attachments.ts',
    from: 'attachment.claims !== command.claims',
    to: 'false',
  },
  {
    name: 'force: on a node that answers',
    file: 'ledger/attachments.ts',
    from: "node.state === 'up' && attachment.state !== 'stuck'",
    to: 'false',
  },
  {
    name: 'lease: without a watchdog',
    file: 'ledger/attachments.ts',
    from: " || pool.fence !== 'self' || !node.watchdog",
    to: " || pool.fence !== 'self'",
  },
  {
    name: 'session: another machine takes over',
    file: 'ledger/nodes.ts',
    from: 'held > 0 && before.machineId',
    to: 'held > 1000 && before.machineId',
  },
  {
    name: 'assign: under an old session',
    file: 'ledger/operations.ts',
    from: "node.session !== command.session || node.state !== 'up'",
    to: "node.state !== 'up'",
  },
  {
    name: 'assign: a grow writes where others read',
    file: 'ledger/operations.ts',
    from: "if (mode === 'ro') throw",
    to: "if (mode === 'ro' && nodeId === '') throw",
  },
  {
    name: 'assign: content is used by nobody',
    file: 'ledger/operations.ts',
    from: "{ ...volume, access: 'single-writer' }, node, mode)",
    to: "{ ...volume, access: 'many-readers' }, node, 'ro')",
  },
  {
    name: 'result: of another attempt',
    file: 'ledger/operations.ts',
    from: 'operation.attempt === command.attempt && ',
    to: '',
  },
  {
    name: 'result: from an old session',
    file: 'ledger/operations.ts',
    from: 'if (node.session !== command.session) throw staleSession(node.name)\n  const current',
    to: 'const current',
  },
  {
    name: 'result: detached without proof',
    file: 'ledger/operation-results.ts',
    from: 'left.users.length === 0 && proven',
    to: 'left.users.length === 0',
  },
  {
    name: 'result: detached though others use it',
    file: 'ledger/operation-results.ts',
    from: 'left.users.length === 0 && proven',
    to: 'proven',
  },
  {
    name: 'result: a stuck step lets go',
    file: 'ledger/operation-results.ts',
    from: '!proven && stuckReason !== undefined',
    to: 'stuckReason === "never"',
  },
  {
    name: 'grow: room comes back unread',
    file: 'ledger/operation-end.ts',
    from: 'if (realMiB === undefined) return',
    to: 'realMiB ??= 0',
  },
  {
    name: 'group: a rollback takes what others copy',
    file: 'ledger/operation-end.ts',
    from: 'open.length === 0 && tx.state',
    to: 'tx.state',
  },
  {
    name: 'group: one more than sixteen',
    file: 'ledger/volume-create.ts',
    from: 'length > MAX_GROUP',
    to: 'length > MAX_GROUP + 1',
  },
  {
    name: 'group: keep rolls back',
    file: 'ledger/operation-end.ts',
    from: "if (group.onFailure === 'keep') return",
    to: '',
  },
  {
    name: 'names: the trash keeps them',
    file: 'ledger/state.ts',
    from: 'if (volume.purgeAt === undefined) this.volumeByName',
    to: 'this.volumeByName',
  },
  {
    name: 'keys: any parameters are the same',
    file: 'ledger/decide.ts',
    from: 'record.fingerprint === key.fingerprint',
    to: 'true',
  },
  {
    name: 'keys: none is remembered',
    file: 'ledger/decide.ts',
    from: "if (key !== undefined) tx.put('key'",
    to: "if (key !== undefined && tx.now < 0) tx.put('key'",
  },
  {
    name: 'decide: a refusal leaves its changes',
    file: 'ledger/decide.ts',
    from: 'if (!decision.ok) tx.rollback()',
    to: '',
  },
  {
    name: 'time goes back',
    file: 'ledger/transaction.ts',
    from: 'Math.max(this.context.now, this.state.at)',
    to: 'this.context.now',
  },
  {
    name: 'clock: a jump expires everything',
    file: 'ledger/clock.ts',
    from: 'if (!expirySuspended(tx.state)) return',
    to: 'return',
  },
  {
    name: 'proof: a fence outlives its attachment',
    file: 'ledger/proof.ts',
    from: 'tx.state.operationsBySubject.get(attachment.id)',
    to: "tx.state.operationsBySubject.get('')",
  },
  {
    name: 'proof: work goes on without its epoch',
    file: 'ledger/proof.ts',
    from: "  tx.remove('attachment', attachment.id)\n  restartUsers(tx, attachment)\n",
    to: "  tx.remove('attachment', attachment.id)\n",
  },
  {
    name: 'placement: IOPS do not count',
    file: 'placement/pools.ts',
    from: 'if (pool.iops > 0) {',
    to: 'if (pool.iops < 0) {',
  },
  {
    name: 'placement: the emptiest pool first',
    file: 'placement/pools.ts',
    from: 'a.leftMiB - b.leftMiB ||',
    to: 'b.leftMiB - a.leftMiB ||',
  },
  {
    name: 'placement: members do not see each other',
    file: 'placement/pools.ts',
    from: '      add(taken, from, wish)\n',
    to: '',
  },
  {
    name: 'placement: a choice is never taken back',
    file: 'placement/pools.ts',
    from: '      else taken.set(from, before)\n    }',
    to: '      else taken.set(from, before)\n      return false\n    }',
  },
  {
    name: 'nodes: work leaves where its content is',
    file: 'placement/nodes.ts',
    from: 'if (bound !== undefined) return eligible(state, operation, bound)',
    to: '',
  },
]

const top = join(import.meta.dirname, '..')
const wanted = process.argv[2] ?? ''
const survivors: string[] = []

for (const mutation of MUTATIONS.filter((each) => each.name.includes(wanted))) {
  const started = Date.now()
  const killed = isKilled(mutation)
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  console.log(`${killed ? 'killed  ' : 'SURVIVED'} ${seconds.padStart(6)} s  ${mutation.name}`)
  if (!killed) survivors.push(mutation.name)
}
console.log(`${survivors.length} survived`)
process.exitCode = survivors.length === 0 ? 0 : 1

/** Whether the tests of the pure core fail on a copy of the tree with this change. */
function isKilled({ name, file, from, to }: Mutation): boolean {
  const copy = mkdtempSync(join(tmpdir(), 'hf-mutant-'))
  try {
    for (const part of ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
      cpSync(join(top, part), join(copy, part), { recursive: true })
    }
    symlinkSync(join(top, 'node_modules'), join(copy, 'node_modules'))
    const path = join(copy, 'src', file)
    const text = readFileSync(path, 'utf8')
    if (text.split(from).length !== 2) throw new Error(`${name}: ${file} does not have this exactly once: ${from}`)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
    const vitest = join(copy, 'node_modules/vitest/vitest.mjs')
    const args = [vitest, 'run', '--project', 'pure', '--bail', '1', '--reporter', 'dot']
    const run = spawnSync(process.execPath, args, {
      cwd: copy,
      env: { ...process.env, HOLDFAST_NO_SHRINK: '1' },
      stdio: process.env.SHOW === undefined ? 'ignore' : 'inherit',
      timeout: 10 * 60_000,
    })
    return run.status !== 0
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
