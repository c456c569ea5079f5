import { type Document, isMap, isNode, isScalar, LineCounter, type Pair, parseDocument } from 'yaml'
import { HoldfastError } from '../../model/errors.ts'
import { nearest } from '../../model/near.ts'
import { quote } from '../../model/units.ts'
import type { Fields } from './fields.ts'
import type { Given, Layer } from './layers.ts'

/**
 * Reads a configuration file, keeping where every value stands.
 * @throws invalid_option with a line `FILE:LINE:COLUMN: what is wrong` for everything wrong
 */
export function yamlLayer(fields: Fields, file: string, source: string): Layer {
  const reader = new Reader(file, source)
  reader.readAll(fields)
  if (reader.wrong.length > 0) throw new HoldfastError('invalid_option', reader.wrong.join('\n'))
  return reader.layer
}

class Reader {
  readonly layer = new Map<string, Given>()
  readonly wrong: string[] = []
  readonly #file: string
  readonly #lines = new LineCounter()
  readonly #document: Document.Parsed

  constructor(file: string, source: string) {
    this.#file = file
    this.#document = parseDocument(source, { lineCounter: this.#lines, prettyErrors: false })
    for (const error of this.#document.errors) this.wrong.push(`${this.#at(error.pos[0])}: ${error.message}`)
  }

  readAll(fields: Fields): void {
    const { contents } = this.#document
    if (this.wrong.length === 0 && contents !== null) this.#map(contents, fields, '')
  }

  #map(node: unknown, fields: Fields, prefix: string): void {
    if (isMap(node)) {
      for (const pair of node.items) this.#pair(pair, fields, prefix)
    } else if (!(isScalar(node) && node.value === null)) {
      const what = prefix === '' ? 'the file' : prefix.slice(0, -1)
      this.wrong.push(`${this.#place(node)}: ${what}: must be a map`)
    }
  }

  #pair({ key, value }: Pair, fields: Fields, prefix: string): void {
    const name = isScalar(key) ? String(key.value) : ''
    const known = Object.hasOwn(fields, name) ? fields[name] : undefined
    const path = prefix + name
    if (known === undefined) {
      this.wrong.push(`${this.#place(key)}: ${unknownKey(prefix, name, Object.keys(fields))}`)
    } else if (known.kind === 'section' && !(known.canBeOff && isScalar(value) && value.value !== null)) {
      this.#map(value, known.fields, `${path}.`)
    } else {
      const given = isNode(value) ? value.toJS(this.#document) : value
      this.layer.set(path, { value: given, origin: this.#place(key) })
    }
  }

  #place(node: unknown): string {
    return this.#at(isNode(node) ? (node.range?.[0] ?? 0) : 0)
  }

  #at(offset: number): string {
    const { line, col } = this.#lines.linePos(offset)
    return `${this.#file}:${line}:${col}`
  }
}

function unknownKey(prefix: string, name: string, known: readonly string[]): string {
  const where = prefix === '' ? '' : `${prefix.slice(0, -1)}: `
  const near = nearest(name, known)
  const meant = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${quote(near)}?`
  return `${where}no such key ${quote(name)}; ${meant}`
}
