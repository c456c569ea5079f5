import { expect, test } from 'vitest'
import { bar } from '../../src/cli/bars.ts'
import { formatAge } from '../../src/cli/format.ts'
import { type Column, fieldList, table } from '../../src/cli/table.ts'

interface Row {
  readonly name: string
  readonly size: number | undefined
}

const columns: Column<Row>[] = [
  { title: 'NAME', value: (row) => row.name },
  { title: 'SIZE', value: (row) => row.size, right: true },
]
const plain = { headers: true, width: undefined, paint: (text: string) => text }
const rows = [
  { name: 'short', size: 5 },
  { name: 'a-much-longer-name', size: undefined },
]

test('columns are aligned, numbers to the right, and what is not there is a dash', () => {
  expect(table(rows, columns, plain)).toBe(
    'NAME                SIZE\nshort                  5\na-much-longer-name     -\n',
  )
  expect(table(rows, columns, { ...plain, headers: false })).not.toContain('NAME')
})

test('what is too wide is taken from the widest column', () => {
  const shown = table(rows, columns, { ...plain, width: 16 })
  expect(shown).toContain('a-much-lo…')
  expect(Math.max(...shown.split('\n').map((line) => line.length))).toBeLessThanOrEqual(16)
})

test('text from elsewhere cannot drive the terminal', () => {
  const shown = table([{ name: '\x1b[31mred\n\x07\u009b\u202e', size: 1 }], columns, plain)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  expect(shown).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
  expect(shown.split('\n')).toHaveLength(3)
  expect(fieldList([['name', 'a\rb']], plain)).toBe('name:  a b\n')
})

test('a bar shows what is there, however little, and never more than there is', () => {
  expect(bar([[0.5, '#']], 10)).toBe('[#####·····]')
  expect(bar([[0.0001, '#']], 10)).toBe('[#·········]')
  expect(
    bar(
      [
        [0.5, '#'],
        [0.25, '='],
      ],
      8,
    ),
  ).toBe('[####==··]')
  expect(bar([[7, '#']], 4)).toBe('[####]')
  expect(bar([], 4)).toBe('[····]')
})

test('ages have two figures at most', () => {
  expect([0, 59, 61, 3600, 3700, 90_061].map(formatAge)).toEqual(['0s', '59s', '1m1s', '1h', '1h1m', '1d1h'])
})
