import { expect, it } from 'vitest'
import type { Command } from '../../src/ledger/commands.ts'
import { execute } from '../../src/ledger/decide.ts'
import type { LedgerState } from '../../src/ledger/state.ts'
import { MAX_DRAWS, type Volume } from '../../src/model/volume.ts'
import { COMMAND_RECORDS } from '../../src/store/store.ts'
import { CAPABLE, emptyState, founding, Ids, START } from './support/world.ts'

const ids = new Ids()

function perform(state: LedgerState, command: Command, now = START) {
  const decision = execute(state, command, { now, newId: ids.next, actor: 'tester' })
  if (!decision.ok) throw decision.error
  return decision
}

it('draws on so many holds at most that the command stays small, the oldest ones, and takes the rest of what is free', () => {
  const state = emptyState()
  for (const command of founding()) perform(state, command)
  const [pool] = state.all('pool').values()
  const poolId = pool?.id ?? ''
  const made = Array.from({ length: 40 }, (_, index) => {
    const hold = { poolId, role: 'ads', sizeMiB: 10, iops: 1, expiresAt: undefined, labels: {} }
    // made in an order that is not that of their ids
    return (perform(state, { kind: 'hold.create', ...hold }, START + 100 - index).answer as { id: string }).id
  })
  const oldest = [...made].sort(
    (a, b) => (state.get('hold', a)?.createdAt ?? 0) - (state.get('hold', b)?.createdAt ?? 0),
  )
  const volume = {
    name: 'v',
    poolId,
    role: 'ads',
    sizeMiB: Math.min(500, CAPABLE.maxObjectMiB),
    iops: 100,
    fs: 'ext4',
    access: 'single-writer',
    source: undefined,
    holdId: undefined,
    ownHolds: true,
    protected: false,
    labels: {},
    bandwidth: 0,
    fingerprint: undefined,
  } as const
  const { answer, changes } = perform(state, { kind: 'volume.create', volume })
  const { draws = [] } = answer as Volume
  expect(draws).toHaveLength(MAX_DRAWS)
  expect(new Set(draws.map((each) => each.holdId))).toEqual(new Set(oldest.slice(0, MAX_DRAWS)))
  expect(changes.length).toBeLessThanOrEqual(COMMAND_RECORDS)
  expect(state.sum(`pool/${poolId}/mib`)).toBe(500 + (40 - MAX_DRAWS) * 10)
})
