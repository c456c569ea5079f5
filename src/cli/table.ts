export interface Column<T> {
  readonly title: string
  readonly value: (row: T) => string | number | undefined
  readonly right?: boolean
}

export interface TableStyle {
  /** Characters on a line; undefined: nobody cuts. */
  readonly width: number | undefined
  readonly headers: boolean
  /** Paints a cell, after it was padded. */
  readonly paint: (text: string) => string
}

const GAP = '  '
const NARROWEST = 8

/** Aligned columns, one row a line. What does not fit the width is taken from the widest columns. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], style: TableStyle): string {
  const cells = rows.map((row) => columns.map(({ value }) => cell(value(row))))
  const lines = style.headers ? [columns.map(({ title }) => title), ...cells] : cells
  const widths = columns.map((_, index) => Math.max(1, ...lines.map((line) => line[index]?.length ?? 0)))
  shrink(widths, style.width)
  return lines
    .map((line, at) => {
      const padded = line.map((text, index) => pad(text, widths[index] ?? 0, columns[index]?.right === true))
      const painted = style.headers && at === 0 ? padded : padded.map(style.paint)
      return `${painted.join(GAP).trimEnd()}\n`
    })
    .join('')
}

/** `KEY  value` lines. */
export function fieldList(
  fields: readonly (readonly [string, string | number | undefined])[],
  style: TableStyle,
): string {
  const shown = fields.filter(([, value]) => value !== undefined)
  return table(
    shown,
    [
      { title: '', value: ([key]) => `${key}:` },
      { title: '', value: ([, value]) => value },
    ],
    {
      ...style,
      headers: false,
      width: undefined,
    },
  )
}

/** Text from elsewhere must not drive the terminal. */
export function printable(text: string): string {
  let shown = ''
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    const drives = code < 32 || (code >= 127 && code < 160) || (code >= 0x20_2a && code <= 0x20_2e)
    shown += drives ? ' ' : character
  }
  return shown
}

function cell(value: string | number | undefined): string {
  return value === undefined || value === '' ? '-' : printable(String(value))
}

function shrink(widths: number[], width: number | undefined): void {
  if (width === undefined) return
  let over = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1) - width
  while (over > 0) {
    const widest = Math.max(...widths)
    if (widest <= NARROWEST) return
    widths[widths.lastIndexOf(widest)] = widest - 1
    over -= 1
  }
}

function pad(text: string, width: number, right: boolean): string {
  const cut = text.length > width ? `${text.slice(0, width - 1)}…` : text
  return right ? cut.padStart(width) : cut.padEnd(width)
}
