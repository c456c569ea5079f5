/** One line of the result: a figure of ours, the reference measured beside it in the same run, and their ratio. */
export interface Line {
  readonly name: string
  readonly ours: number
  readonly reference: number | undefined
  readonly unit: string
  /** What the reference is. */
  readonly against: string
  readonly note?: string
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((p / 100) * sorted.length))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

export function ratio(line: Line): number | undefined {
  return line.reference === undefined ? undefined : line.ours / line.reference
}

export function table(lines: readonly Line[]): string {
  const rows = lines.map((line) => {
    const each = ratio(line)
    return [
      line.name,
      `${round(line.ours)} ${line.unit}`,
      line.reference === undefined ? '' : `${round(line.reference)} ${line.unit}`,
      each === undefined ? '' : each.toFixed(2),
      line.reference === undefined ? (line.note ?? '') : `against ${line.against}${line.note ? `; ${line.note}` : ''}`,
    ]
  })
  rows.unshift(['what', 'ours', 'reference', 'ratio', ''])
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function round(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US')
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
