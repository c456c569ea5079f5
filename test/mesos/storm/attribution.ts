import type { Abort } from '../../support/mesos/cluster.ts'
import type { Book } from './book.ts'
import type { Kill, Strike } from './chaos.ts'
import type { System } from './system.ts'

/** What Mesos does to itself when these die. No provider can prevent it: it is not there, or cannot know. */
const CAUSES: Readonly<Record<number, readonly Kill[]>> = {
  // an acknowledgement arrives for an operation of a provider whose stream is gone
  4: ['holder'],
  // an offer that was on its way when the provider's resources went: with its stream, or with its agent's memory
  6: ['holder', 'agent'],
  // a framework is torn down while the capacity that its operation takes is not advertised
  7: ['teardown'],
  // an operation that was on its way when the provider's resources went
  10: ['holder', 'agent'],
  // the same as 6 where the masters have no ACLs: an operation that the master does before it asks
  11: ['holder', 'agent'],
}

/** How long after a kill what was on its way may still arrive, ms; offers are kept for less than that. */
const ECHO_MS = 3000

/**
 * Who is to blame for an abort that may happen.
 * @returns undefined when it must not have happened
 */
export function blame(abort: Abort, strikes: readonly Strike[], book: Book, system: System): Strike | undefined {
  const kills = CAUSES[abort.number] ?? []
  const names = namesIn(abort, book, system)
  const deaths = [...strikes, ...aborted(system, abort.at)].sort((a, b) => a.at - b.at)
  return deaths.findLast(({ kill, name, at, backAt }) => {
    const inTime = abort.at >= at && (backAt === undefined || abort.at <= backAt + ECHO_MS)
    return inTime && kills.includes(kill) && names.has(name)
  })
}

/** An agent that has aborted has died, too. */
function aborted({ mesos }: System, before: number): Strike[] {
  return mesos.aborts
    .filter(({ who, at }) => who !== 'master' && at < before)
    .map(({ who, at }) => ({ kill: 'agent', name: who, at, backAt: at }))
}

/** The agent, its provider's process and the framework that an abort is about. */
function namesIn({ who, cause }: Abort, book: Book, { mesos, machines }: System): Set<string> {
  const operation = [...book.operations.values()].find(({ id }) => cause.includes(id))
  const named = mesos.agents.findIndex(({ hostname, agentId }) => {
    return hostname === who || (agentId !== undefined && agentId === operation?.agentId)
  })
  const names = [mesos.agents[named]?.hostname, machines[named]?.provider.name, operation?.framework]
  return new Set(names.filter((name) => name !== undefined))
}
