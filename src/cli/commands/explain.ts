import type { Command } from 'commander'
import type { Candidate } from '../../model/candidate.ts'
import { formatCount } from '../../model/units.ts'
import { type Cli, run } from '../cli.ts'
import { bothSizes } from '../format.ts'
import { printable } from '../table.ts'
import { colour, say } from '../terminal.ts'
import type { ExplainView } from '../views.ts'
import { type VolumeOptions, volumeBody, volumeOptions } from './volume-options.ts'

const DOES_NOT_FIT = 3

export function defineExplain(noun: Command): void {
  noun.argument('[name]', 'a name for the volume, if it matters', 'new-volume')
  noun.option('--node <node>', 'whether this node could use it too')
  volumeOptions(noun).action(
    run<VolumeOptions & { node?: string }>(async (cli, options, name = 'new-volume') => {
      const volume = volumeBody(name, options)
      const body = { volumes: [volume], node: options.node }
      const found = (await cli.client.change<ExplainView>('POST', '/v1/explain', body)).body
      if (cli.out.format === 'table') show(found, options)
      else await showData(cli, found)
      // scripts ask "would it fit?" and look at the exit code
      if (!found.fits) process.exitCode = DOES_NOT_FIT
    }),
  )
}

async function showData(cli: Cli, found: ExplainView): Promise<void> {
  await cli.out.text(found, '')
}

function show(found: ExplainView, options: VolumeOptions): void {
  const asked = [bothSizes(options.size)]
  if (options.iops !== undefined) asked.push(`${formatCount(options.iops)} IOPS`)
  const [plan] = found.plan ?? []
  const where = plan === undefined ? '' : ` → ${plan.pool}${plan.node === undefined ? '' : ` on ${plan.node}`}`
  const verdict = found.fits ? colour('fits', 'green') : colour('does not fit', 'red')
  say(`${asked.join(' and ')}: ${verdict}${printable(where)}\n`)
  if (found.refusal !== undefined) say(`${printable(found.refusal.detail)}\n`)
  section('pools', found.considered[0] ?? [])
  section('nodes', found.nodes)
}

function section(title: string, candidates: readonly Candidate[]): void {
  if (candidates.length === 0) return
  say(`\n${colour(title, 'bold')}\n`)
  const width = Math.max(...candidates.map((each) => each.name.length))
  for (const each of candidates) {
    const mark = each.fits ? colour('✓', 'green') : colour('✗', 'red')
    const shown = each.checks.filter((check) => (each.fits ? check.free !== undefined : !check.ok))
    const texts = shown.map((check) => check.text).join(' · ')
    say(`${mark} ${printable(each.name.padEnd(width))}  ${each.chosen ? 'chosen · ' : ''}${printable(texts)}\n`)
    if (each.smallestChange !== undefined)
      say(`  ${' '.repeat(width)}  smallest change: ${printable(each.smallestChange)}\n`)
  }
}
