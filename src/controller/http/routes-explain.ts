import { Type } from 'typebox'
import type { Command } from '../../ledger/commands.ts'
import { decide } from '../../ledger/decide.ts'
import type { LedgerState } from '../../ledger/state.ts'
import type { VolumeRequest } from '../../ledger/volume-create.ts'
import type { Candidate } from '../../model/candidate.ts'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { formatId, type NewId } from '../../model/ids.ts'
import { MAX_GROUP } from '../../model/volume.ts'
import { placeVolumes, rankPools, type Wish } from '../../placement/pools.ts'
import { actorOf, READ_ALL } from './caller.ts'
import { ref } from './components.ts'
import { bestNode, judgeNodes } from './explain-nodes.ts'
import { findNode } from './find.ts'
import { bodySchema } from './rest-schema.ts'
import { type Call, ok, type Route, route } from './route.ts'
import { VolumeBody, wishOf } from './volume-wish.ts'

const Question = bodySchema(
  Type.Object({
    volumes: Type.Array(VolumeBody, { minItems: 1, maxItems: MAX_GROUP }),
    node: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  }),
)

export const EXPLAIN_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/explain',
    access: READ_ALL,
    tag: 'explain',
    summary: 'What would happen if these volumes were created now, and why',
    description: 'Decided on the live ledger, which it does not change. With a node: whether it could also take them.',
    body: Question,
    replies: {
      200: {
        type: 'object',
        required: ['fits', 'considered', 'nodes'],
        properties: {
          fits: { type: 'boolean' },
          plan: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name', 'pool'],
              properties: { name: { type: 'string' }, pool: { type: 'string' }, node: { type: 'string' } },
              additionalProperties: false,
            },
          },
          refusal: {
            type: 'object',
            required: ['code', 'detail'],
            properties: { code: { type: 'string' }, detail: { type: 'string' } },
          },
          considered: {
            type: 'array',
            description: 'For each volume, the pools.',
            items: { type: 'array', items: ref('Candidate') },
          },
          nodes: { type: 'array', items: ref('Candidate') },
        },
        additionalProperties: false,
      },
    },
    handle: (call) =>
      call.read((state) => {
        const wishes = call.body.volumes.map((body) => wishOf(state, call.caller, body))
        return ok(explain(state, call, wishes, call.body.node))
      }),
  }),
]

interface Explanation {
  fits: boolean
  plan?: { name: string; pool: string; node?: string }[]
  refusal?: { code: string; detail: string }
  considered: Candidate[][]
  nodes: Candidate[]
}

type Anything = Call<unknown, unknown, unknown>

function explain(state: LedgerState, call: Anything, wishes: readonly Wish[], node: string | undefined): Explanation {
  const only = node === undefined ? undefined : findNode(state, node).id
  let considered: Candidate[][] | undefined
  try {
    const [single] = wishes
    // told before there is no place for it, as the create does
    if (wishes.length === 1 && single !== undefined && state.volumeByName.has(single.name)) {
      tryOut(state, call, [{ ...single, poolId: '' }])
    }
    const placement = placeVolumes(state, wishes)
    considered = placement.considered
    tryOut(state, call, placement.requests)
    const nodes = judgeNodes(state, placement.requests, only)
    const best = bestNode(nodes)
    if (only !== undefined && best === undefined) {
      return { fits: false, refusal: nodeRefusal(nodes), considered, nodes }
    }
    const plan = placement.requests.map(({ name, poolId }) => ({
      name,
      pool: state.get('pool', poolId)?.name ?? poolId,
      ...(best === undefined ? {} : { node: best.name }),
    }))
    return { fits: true, plan, considered, nodes }
  } catch (thrown) {
    const { code, message } = asHoldfastError(thrown)
    // what the question names must be there
    if (code === 'internal' || code === 'not_found') throw thrown
    considered ??= wishes.map((wish) => candidatesOf(state, wish))
    return { fits: false, refusal: { code, detail: message }, considered, nodes: judgeNodes(state, [], only) }
  }
}

/** Asks the ledger itself, as the create would. @throws its refusal */
function tryOut(state: LedgerState, call: Anything, volumes: VolumeRequest[]): void {
  const [only] = volumes
  const command: Command =
    volumes.length === 1 && only !== undefined
      ? { kind: 'volume.create', volume: only }
      : { kind: 'group.create', name: undefined, onFailure: 'rollback', volumes }
  const decision = decide(state, command, { now: call.now, newId: passingIds(), actor: actorOf(call.caller) })
  if (!decision.ok) throw decision.error
}

/** Ids for what is never kept: later than any real one's time can be. */
function passingIds(): NewId {
  let count = 0
  return (kind) => {
    count += 1
    return formatId(kind, 2 ** 45 - 1, count.toString(32).padStart(12, '0'))
  }
}

function candidatesOf(state: LedgerState, wish: Wish): Candidate[] {
  try {
    return rankPools(state, wish).candidates
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return []
    throw thrown
  }
}

function nodeRefusal(nodes: readonly Candidate[]): { code: string; detail: string } {
  const [node] = nodes
  const detail = `node ${node?.name}: ${node?.ruledOutBy ?? 'does not fit'}`
  const failing = node?.checks.find((check) => !check.ok)?.what
  if (failing === 'reach') return { code: 'no_reach', detail }
  return { code: failing === 'attachments' || failing === 'bandwidth' ? 'node_full' : 'wrong_state', detail }
}
