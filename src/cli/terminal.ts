import type { TableStyle } from './table.ts'

/** Whether colours are wanted there. */
function coloured(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb'
}

const GOOD = new Set(['available', 'up', 'active', 'mounted', 'succeeded', 'complete'])
const BAD = new Set(['error', 'lost', 'failed', 'stuck', 'missing', 'overdue'])
const BUSY = new Set([
  'requested',
  'creating',
  'formatting',
  'importing',
  'deleting',
  'attaching',
  'unmounting',
  'fencing',
  'pending',
  'running',
  'draining',
  'cordoned',
  'trash',
])

const CODES = { green: 32, red: 31, yellow: 33, dim: 2, bold: 1 } as const
export type Colour = keyof typeof CODES

export function colour(text: string, name: Colour, stream: NodeJS.WriteStream = process.stdout): string {
  return coloured(stream) ? `\x1b[${CODES[name]}m${text}\x1b[0m` : text
}

function paintState(text: string): string {
  const state = text.trim()
  if (GOOD.has(state)) return colour(text, 'green')
  if (BAD.has(state)) return colour(text, 'red')
  return BUSY.has(state) ? colour(text, 'yellow') : text
}

export function tableStyle(headers: boolean): TableStyle {
  const { stdout } = process
  return { headers, width: (stdout.isTTY && stdout.columns) || undefined, paint: paintState }
}

/** Results. */
export function say(text: string): void {
  process.stdout.write(text)
}

/** What is said besides: progress, notes, errors. */
export function note(text: string): void {
  process.stderr.write(text)
}

/** Whether somebody sits there who can be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true
}

/**
 * A reader that has gone (`holdfast … | head`) ends the program quietly; another trouble with the output is told by
 * the exit code.
 */
export function quitWhenNobodyReads(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  process.stderr.on('error', () => process.exit(1))
}
