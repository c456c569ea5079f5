import type { OneMaster } from '../../mesos/any-master.ts'
import type { Hazard } from '../../mesos/hazards.ts'
import { masterHazards } from '../../mesos/master-hazards.ts'
import type { MasterFramework } from '../../mesos/master-protocol.ts'
import type { Guard } from '../../model/mesos.ts'
import type { AskedMasters } from './masters.ts'

/** What is found at the masters, each thing once, however many of them have it. */
export function mastersHazards(
  { leading, others, trouble }: AskedMasters,
  facts: { version?: string | undefined; frameworks: readonly MasterFramework[]; principal: string },
): Hazard[] {
  const { principal } = facts
  const first = leading?.flags === undefined ? [] : masterHazards({ ...facts, flags: leading.flags })
  const known = new Set(first.map(({ code, sentence }) => `${code} ${sentence}`))
  const more = others.flatMap((master) => {
    if (master.flags === undefined) return [unseen(master)]
    // they do not say their version there, and know no frameworks
    return masterHazards({ version: facts.version, flags: master.flags, frameworks: [], principal })
      .filter(({ code, sentence }) => !known.has(`${code} ${sentence}`))
      .map((hazard) => ({ ...hazard, where: `the master ${master.url}` }))
  })
  return [...first, ...more, ...(trouble === undefined ? [] : [unlisted(trouble)])]
}

function unseen({ url, trouble = '' }: OneMaster): Hazard {
  return {
    code: 'master_unseen',
    severity: 'danger',
    where: `the master ${url}`,
    sentence: `it may lead next, and does not tell its ACLs: ${trouble}`,
    advice: 'let the controller reach every master, with a principal that may view flags',
  }
}

function unlisted(trouble: string): Hazard {
  return {
    code: 'master_unseen',
    severity: 'note',
    where: 'ZooKeeper',
    sentence: `it does not tell which masters there are: ${trouble}`,
    advice: 'see whether it can be reached from the controller',
  }
}

export function unreachableHazard(problem: string): Hazard {
  return {
    code: 'masters_unreachable',
    severity: 'stops',
    where: 'the masters',
    sentence: `the controller cannot follow the leading master: ${problem}`,
    advice: 'see controller.mesos in the configuration of the controller: masters, principal, secretFile, ca',
  }
}

export function conflictHazard(sentence: string): Hazard {
  return {
    code: 'roles_conflict',
    severity: 'note',
    where: 'the pools',
    sentence,
    advice: 'give the two pools different roles',
  }
}

/** @param watched whether masters are configured at all */
export function guardHazard(guard: Pick<Guard, 'state' | 'why'> | undefined, watched: boolean): Hazard[] {
  if (guard?.state === 'verified') return []
  const common = { severity: 'danger', where: 'the masters' } as const
  if (!watched) {
    return [
      {
        ...common,
        code: 'masters_not_set',
        sentence: 'nobody looks at their ACLs, so volumes stay on the agent where they were made',
        advice: 'set controller.mesos.masters for the controller',
      },
    ]
  }
  const why = guard === undefined ? 'no master has been looked at yet' : guard.why.join('; ')
  const isAbsent = guard?.state === 'absent'
  return [
    {
      ...common,
      code: isAbsent ? 'guard_absent' : 'guard_unverified',
      sentence: `their ACLs ${isAbsent ? 'do not protect what is shown' : 'could not be verified'}: ${why}; volumes stay on the agent where they were made`,
      advice: 'holdfast mesos acls --merge FILE makes the ACLs; start every master with --acls=FILE',
    },
  ]
}
