/** The tables of operations in docs/mesos.md: the tests are made of them, so that they cannot say something else. */
import { readFileSync } from 'node:fs'

export interface Cell {
  readonly operation: string
  readonly column: string
  /** What becomes of it, without the marks of footnotes. */
  readonly outcome: string
}

const PAGE = new URL('../../../../docs/mesos.md', import.meta.url)

/** @param before how the line begins that stands before the table */
export function cellsAfter(before: string): Cell[] {
  const lines = readFileSync(PAGE, 'utf8').split('\n')
  const section = lines.indexOf('## Operations')
  const start = lines.findIndex((line, index) => index > section && line.startsWith(before))
  if (section < 0 || start < 0) throw new Error(`docs/mesos.md has no line "${before}…" under Operations`)
  const from = lines.findIndex((line, index) => index > start && line.startsWith('|'))
  const length = lines.slice(from).findIndex((line) => !line.startsWith('|'))
  const [header = [], , ...rows] = lines.slice(from, from + length).map(split)
  return rows.flatMap(([operation = '', ...outcomes]) =>
    outcomes.map((outcome, index) => ({
      operation,
      column: header[index + 1] ?? '',
      outcome: outcome.replace(/[¹²]/g, ''),
    })),
  )
}

function split(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}
