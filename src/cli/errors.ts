import type { Candidate } from '../model/candidate.ts'
import { asHoldfastError, type HoldfastError } from '../model/errors.ts'
import { printable } from './table.ts'
import { note } from './terminal.ts'

/** Interrupted by the user (Ctrl-C), who was told what goes on: 128 + SIGINT. */
export class Interrupted extends Error {}

const SHOWN_CANDIDATES = 5

/** Tells what went wrong, in one sentence and what helps besides. @returns the exit code */
export function report(thrown: unknown): number {
  if (thrown instanceof Interrupted) return 130
  const error = asHoldfastError(thrown)
  note(`holdfast: ${error.message.split('\n').map(printable).join('\nholdfast: ')}\n`)
  for (const line of help(error)) note(`  ${printable(line)}\n`)
  return error.row.exit
}

function help(error: HoldfastError): string[] {
  const { considered, next } = error.data as { considered?: Candidate[]; next?: string }
  if (Array.isArray(considered)) return considered.slice(0, SHOWN_CANDIDATES).flatMap(candidateLines)
  if (typeof next === 'string') return [`next: ${next}`]
  if (error.code === 'unreachable') {
    return [
      'start one:     holdfast controller run   (or holdfast dev, to try things out)',
      'or say where:  --api URL, HOLDFAST_API, or client.api in /etc/holdfast/config.yaml',
    ]
  }
  if (error.code === 'unauthenticated') {
    return [
      'give a token: --token-file FILE, HOLDFAST_TOKEN_FILE, HOLDFAST_TOKEN, or client.tokenFile in the configuration',
    ]
  }
  return []
}

function candidateLines(each: Candidate): string[] {
  const failing = each.checks.filter((check) => !check.ok).map((check) => check.text)
  const lines = [`${each.fits ? '✓' : '✗'} ${each.name}: ${failing.join('; ') || 'fits'}`]
  if (each.smallestChange !== undefined) lines.push(`    smallest change: ${each.smallestChange}`)
  return lines
}
