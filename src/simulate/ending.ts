import type { Simulated } from './simulated.ts'

const PATIENCE_MS = 600_000

/** The operator takes away what may keep work waiting for a reason. */
export async function makeRoom({ world, api, ledger, workload, operator }: Simulated): Promise<void> {
  operator.stop()
  await world.run(world.time + PATIENCE_MS, () => workload.open === 0 && operator.open === 0)
  if (ledger.get('clock', 'clock') !== undefined) void operator.confirmClock()
  let left = 0
  for (const { id } of ledger.all('node')) {
    left += 1
    const set = { cordoned: false, attachmentLimit: 1000, bandwidth: null }
    void api.submit({ kind: 'node.update', nodeId: id, set }).then(() => {
      left -= 1
    })
  }
  await world.run(world.time + PATIENCE_MS, () => left === 0 && operator.open === 0)
}

/** Everything that was ever made is deleted, so that what is left behind shows. */
export async function deleteAll({ world, api, ledger, promises }: Simulated): Promise<void> {
  let left = 0
  const ask = async (...commands: Parameters<typeof api.submit>[0][]) => {
    left += 1
    for (const command of commands) await api.submit(command)
    left -= 1
  }
  for (const { id } of ledger.all('snapshot')) {
    promises.mayGo(id)
    void ask({ kind: 'snapshot.delete', snapshotId: id })
  }
  for (const { id } of ledger.all('hold')) {
    promises.mayGo(id)
    void ask({ kind: 'hold.release', holdId: id, reason: 'asked' })
  }
  for (const { id, imported } of ledger.all('volume')) {
    promises.mayGo(id)
    const go = imported
      ? ({ kind: 'volume.release', volumeId: id } as const)
      : ({ kind: 'volume.delete', volumeId: id, trashMs: 0 } as const)
    void ask({ kind: 'volume.update', volumeId: id, set: { protected: false } }, go)
  }
  await world.run(world.time + PATIENCE_MS, () => left === 0)
}
