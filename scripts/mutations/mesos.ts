import type { Mutation } from './mutation.ts'

export const MESOS_MUTATIONS: readonly Mutation[] = [
  {
    name: 'own holds: the youngest first',
    file: 'ledger/holds.ts',
    from: 'a.createdAt - b.createdAt ||',
    to: 'b.createdAt - a.createdAt ||',
  },
  {
    name: 'own holds: those of every role',
    file: 'ledger/holds.ts',
    from: '.filter((hold) => hold.role === role)',
    to: '',
  },
  {
    name: 'own holds: any number of them',
    file: 'ledger/holds.ts',
    from: 'left.slice(0, MAX_DRAWS)',
    to: 'left',
  },
  {
    name: 'own holds: IOPS are not drawn',
    file: 'ledger/holds.ts',
    from: 'iops: Math.min(iops, rest.iops)',
    to: 'iops: 0',
  },
  {
    name: 'stacks: a disk is made of nothing',
    file: 'ledger/stacks.ts',
    from: 'moveStack(tx, volume, -volume.sizeMiB)',
    to: 'moveStack(tx, volume, 0)',
  },
  {
    name: 'stacks: what is gone is not reserved again',
    file: 'ledger/volume-end.ts',
    from: '  giveToStack(tx, volume)\n',
    to: '',
  },
  {
    name: 'stacks: they fall below nothing',
    file: 'ledger/stacks.ts',
    from: 'Math.max(0, (before?.sizeMiB ?? 0) + byMiB)',
    to: '(before?.sizeMiB ?? 0) + byMiB',
  },
  {
    name: 'footprint: tasks take no bandwidth',
    file: 'ledger/accounts.ts',
    from: 'return [[nodeBandwidth(nodeId), bandwidth]]',
    to: 'return []',
  },
  {
    name: 'disks: one that could not be made stays',
    file: 'ledger/operation-end.ts',
    from: 'if (volume.mesos?.home !== undefined &&',
    to: 'if (false &&',
  },
  {
    name: 'disks: what people asked for is taken away',
    file: 'ledger/operation-end.ts',
    from: 'if (volume.mesos?.home !== undefined &&',
    to: 'if (',
  },
]
