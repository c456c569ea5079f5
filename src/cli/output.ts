import { type Column, fieldList, table } from './table.ts'
import { say, tableStyle } from './terminal.ts'

export type Format = 'table' | 'json' | 'yaml'
export type Shown = readonly (readonly [string, string | number | undefined])[]

/** Prints results the way that was asked for: for people, or exact for programs. */
export class Output {
  readonly format: Format
  readonly #headers: boolean

  constructor(format: Format, headers: boolean) {
    this.format = format
    this.#headers = headers
  }

  async list<T>(items: readonly T[], columns: readonly Column<T>[]): Promise<void> {
    if (this.format !== 'table') return this.#data(items)
    say(table(items, columns, tableStyle(this.#headers)))
  }

  async one<T>(item: T, fields: Shown): Promise<void> {
    if (this.format !== 'table') return this.#data(item)
    say(fieldList(fields, tableStyle(this.#headers)))
  }

  /** `text` for people, the item itself for programs. */
  async text(item: unknown, text: string): Promise<void> {
    if (this.format !== 'table') return this.#data(item)
    say(text)
  }

  async #data(item: unknown): Promise<void> {
    if (this.format === 'json') return say(`${JSON.stringify(item, null, 2)}\n`)
    const { stringify } = await import('yaml')
    say(stringify(item, { lineWidth: 0 }))
  }
}
