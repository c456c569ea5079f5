import type { Command } from 'commander'
import { run } from '../cli.ts'
import { printable } from '../table.ts'
import { type Colour, colour, say } from '../terminal.ts'
import type { HazardView, MesosView } from '../views.ts'

const FAILED = 1
const ORDER: readonly HazardView['severity'][] = ['stops', 'danger', 'note']
const COLOURS: Readonly<Record<HazardView['severity'], Colour>> = { stops: 'red', danger: 'red', note: 'yellow' }

/** Adds `doctor` to the noun `mesos`. */
export function defineMesosDoctor(noun: Command): void {
  noun
    .command('doctor')
    .description('what is wrong or dangerous, and what to do about it; exit code 1 when there is more than notes')
    .action(
      run(async (cli) => {
        const { hazards } = await cli.client.get<MesosView>('/v1/mesos')
        const sorted = [...hazards].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
        if (cli.out.format === 'table') say(page(sorted))
        else await cli.out.text(sorted, '')
        // scripts look at the exit code
        if (sorted.some(({ severity }) => severity !== 'note')) process.exitCode = FAILED
      }),
    )
}

function page(hazards: readonly HazardView[]): string {
  if (hazards.length === 0) return `${colour('nothing wrong was found', 'green')}\n`
  return hazards.map(entry).join('\n')
}

function entry({ severity, code, where, sentence, advice }: HazardView): string {
  const title = `${colour(severity, COLOURS[severity])}  ${colour(printable(where), 'bold')}  ${code}`
  return `${title}\n  ${printable(sentence)}\n  → ${printable(advice)}\n`
}
