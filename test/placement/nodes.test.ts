import { describe, expect, it } from 'vitest'
import type { Operation } from '../../src/model/operation.ts'
import { OPERATIONS_PER_NODE, pickNode, rankNodes } from '../../src/placement/nodes.ts'
import { attachment, CAPABILITIES, type Kept, node, operation, pool, stateOf, volume } from './support/records.ts'

const reach = ['pool-p']
const base: Kept[] = [
  ['pool', pool('p')],
  ['volume', volume('v', 'pool-p')],
  ['node', node('a', { reach })],
  ['node', node('b', { reach })],
  ['node', node('c', { reach })],
]

/** Later records replace earlier ones of the same id. */
function picked(set: Partial<Operation>, ...more: Kept[]): string | undefined {
  const work = operation('w', 'pool-p', set)
  return pickNode(stateOf(...base, ...more, ['operation', work]), work)?.name
}

function busy(name: string, count: number): Kept[] {
  return Array.from({ length: count }, (_, index) => [
    'operation',
    operation(`${name}${index}`, 'pool-p', {
      state: 'running',
      nodeId: `node-${name}`,
      subject: { kind: 'pool', id: 'x' },
    }),
  ])
}

describe('choosing a node for work', () => {
  it('takes the least busy one that reaches the pool, then the first by name', () => {
    expect(picked({})).toBe('a')
    expect(picked({}, ...busy('a', 1))).toBe('b')
    expect(picked({}, ...busy('a', 2), ...busy('b', 1), ...busy('c', 1))).toBe('b')
  })

  it('passes over nodes that are lost, cordoned, too busy, or do not reach the pool', () => {
    expect(picked({}, ['node', node('a', { reach, state: 'lost' })])).toBe('b')
    expect(picked({}, ['node', node('a', { reach, cordoned: true })])).toBe('b')
    expect(picked({}, ['node', node('a', { reach: [] })])).toBe('b')
    const full = (['a', 'b', 'c'] as const).flatMap((name) => busy(name, OPERATIONS_PER_NODE))
    expect(picked({}, ...full)).toBeUndefined()
  })

  it('stays where the content is in use, also on a node whose attachments are all taken', () => {
    const held: Kept = ['attachment', attachment('vol-v', 'node-c')]
    expect(picked({ kind: 'grow', step: 'grow' }, held)).toBe('c')
    expect(picked({ kind: 'grow', step: 'grow' }, held, ['node', node('c', { reach, attachmentLimit: 1 })])).toBe('c')
    expect(picked({ kind: 'grow', step: 'grow' }, held, ['node', node('c', { reach, state: 'lost' })])).toBeUndefined()
    const source = { kind: 'volume', id: 'vol-v' } as const
    const copy = { step: 'snapshot', subject: { kind: 'snapshot', id: 'snap-s' }, source } as const
    expect(picked(copy, held)).toBe('c')
  })

  it('needs a free attachment only for work that attaches', () => {
    const none: Kept[] = ['a', 'b', 'c'].map((name) => ['node', node(name, { reach, attachmentLimit: 0 })])
    expect(picked({ step: 'format' }, ...none)).toBeUndefined()
    expect(picked({ step: 'create' }, ...none)).toBe('a')
    expect(picked({ kind: 'delete', step: 'delete' }, ...none)).toBe('a')
  })

  it('waits while the content is fenced, stuck, or in use on two nodes', () => {
    for (const state of ['fencing', 'stuck'] as const) {
      expect(picked({ step: 'grow' }, ['attachment', attachment('vol-v', 'node-c', { state })])).toBeUndefined()
    }
    const both: Kept[] = ['node-a', 'node-b'].map((id) => ['attachment', attachment('vol-v', id, { mode: 'ro' })])
    expect(picked({ step: 'grow' }, ...both)).toBeUndefined()
  })

  it('goes back to the node where it ran; after an unknown outcome to no other while that node exists', () => {
    expect(picked({ nodeId: 'node-b', attempt: 1 })).toBe('b')
    const lost: Kept = ['node', node('b', { reach, state: 'lost' })]
    expect(picked({ nodeId: 'node-b', attempt: 1 }, lost)).toBe('a')
    expect(picked({ nodeId: 'node-b', attempt: 1, unknownOutcome: true }, lost)).toBeUndefined()
    expect(picked({ nodeId: 'node-gone', attempt: 1, unknownOutcome: true })).toBe('a')
  })

  it('runs on the node that it is pinned to, cordoned or not, and marks a pool that nobody reaches yet', () => {
    const cordoned: Kept = ['node', node('b', { reach: [], cordoned: true })]
    const mark = { kind: 'mark', step: 'mark', subject: { kind: 'pool', id: 'pool-p' }, pinnedTo: 'node-b' } as const
    expect(picked(mark, cordoned)).toBe('b')
    expect(picked({ ...mark, pinnedTo: 'node-gone' })).toBeUndefined()
  })

  it('fences from another node, and from the same machine only where the driver needs that', () => {
    const fence = {
      kind: 'fence',
      step: 'fence',
      subject: { kind: 'attachment', id: 'att-vol-v-node-a' },
      detail: { nodeId: 'node-a', bootId: 'boot-a', volumeId: 'vol-v', epoch: 1 },
    } as const
    const can = (proof: 'none' | 'same-machine' | 'any'): Kept => [
      'pool',
      pool('p', { capabilities: { ...CAPABILITIES, fence: proof } }),
    ]
    expect(picked(fence, can('any'))).toBe('b')
    expect(picked(fence, can('none'))).toBeUndefined()
    expect(picked(fence, can('same-machine'))).toBeUndefined()
    expect(picked(fence, can('same-machine'), ['node', node('c', { reach, bootId: 'boot-a' })])).toBe('c')
  })
})

describe('explaining nodes', () => {
  it('compares state, cordon, reach, attachments and bandwidth with true numbers', () => {
    const state = stateOf(
      ['pool', pool('p')],
      ['volume', volume('v', 'pool-p')],
      ['node', node('z', { reach, attachmentLimit: 1 })],
      ['attachment', attachment('vol-v', 'node-z', { bandwidth: 30 })],
      ['node', node('m', { reach, bandwidth: 100 })],
      ['node', node('k', { reach: [], cordoned: true, state: 'lost' })],
      ['node', node('b', { reach, bandwidth: 40, attachmentLimit: 10 })],
    )
    const { candidates, ranked } = rankNodes(state, { pool: pool('p'), bandwidth: 50, node: undefined })
    expect(ranked.map((each) => each.name)).toEqual(['m'])
    expect(candidates.map((each) => [each.name, each.ruledOutBy, each.smallestChange])).toEqual([
      ['b', '40 MiB/s free, 50 asked', 'ask for 10 MiB/s less'],
      ['k', 'is lost', undefined],
      ['m', undefined, undefined],
      ['z', '0 of 1 attachments free', 'detach one volume from node z'],
    ])
  })

  it('prefers the node with the most room left, then the first by name', () => {
    const state = stateOf(
      ['node', node('c', { attachmentLimit: 8 })],
      ['node', node('b', { attachmentLimit: 9 })],
      ['node', node('a', { attachmentLimit: 8 })],
    )
    const { ranked } = rankNodes(state, { pool: undefined, bandwidth: 0, node: undefined })
    expect(ranked.map((each) => each.name)).toEqual(['b', 'a', 'c'])
    expect(rankNodes(state, { pool: undefined, bandwidth: 0, node: 'c' }).ranked.map((each) => each.id)).toEqual([
      'node-c',
    ])
  })
})
