import { writeSync } from 'node:fs'
import type { Storm } from './storm.ts'

/** The figures of a run, for people. */
export function report(name: string, storm: Storm, more: Readonly<Record<string, number>>): void {
  const { book, chaos, system } = storm
  const lines = [
    `storm ${name}: ${Object.entries(more)
      .map(([what, value]) => `${what} ${value}`)
      .join(', ')}`,
    ...byKind(book.counts),
    ...[...book.reasons]
      .sort(([, a], [, b]) => b - a)
      .slice(0, 20)
      .map(([reason, count]) => `    ${count} × ${reason}`),
    `  kills: ${[...chaos.counts].map(([kill, count]) => `${kill} ${count}`).join(', ') || 'none'}`,
    `  aborts: ${system.mesos.aborts.length}`,
    ...system.mesos.aborts.map((abort) => {
      const { who, number, site, cause } = abort
      const strike = storm.blame(abort)
      const why = strike === undefined ? 'NOBODY KILLED ANYTHING' : `after ${strike.kill} ${strike.name}`
      return `    #${number} ${who} ${site}: ${cause}, ${why}`
    }),
  ]
  // at once: vitest holds the output of a test back
  writeSync(2, `${lines.join('\n')}\n`)
}

function byKind(counts: ReadonlyMap<string, number>): string[] {
  const kinds = Map.groupBy([...counts].sort(), ([key]) => key.split(' ')[0] ?? '')
  return [...kinds].map(([kind, entries]) => {
    const outcomes = entries.map(([key, count]) => `${key.slice(kind.length + 1)} ${count}`)
    return `  ${kind}: ${outcomes.join(', ')}`
  })
}

export function chronicleOf({ book, system }: Storm): string {
  const aborts = system.mesos.aborts.map(({ at, number, who, message, cause }) => {
    return `${new Date(at).toISOString()} ABORT ${number} of ${who}: ${message}; ${cause}`
  })
  return `${[...book.chronicle, ...aborts].sort().join('\n')}\n`
}
