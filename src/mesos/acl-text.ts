import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'

/** A message: each field with all its values, in order. */
type Message = Map<string, Value[]>
type Value = string | Message

const TOKEN = /\s*(?:#[^\n]*\n\s*)*(?:([A-Za-z_][A-Za-z0-9_]*)|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|([{}<>:;,]))/y
const MAX_DEPTH = 10

/**
 * ACLs in the text form of protobuf (`DebugString`), which is how a master shows them in its flags, as the JSON that
 * its `--acls` had.
 * @throws invalid_option
 */
export function readAclText(text: string): Readonly<Record<string, unknown>> {
  const fields = [...new TextReader(text).message(0)]
  return Object.fromEntries(
    fields.map(([name, values]) => [name, name === 'permissive' ? flag(values) : values.map(rule)]),
  )
}

function flag(values: readonly Value[]): unknown {
  const value = values.at(-1)
  return value === 'true' || value === 'false' ? value === 'true' : value
}

function rule(value: Value): unknown {
  if (typeof value === 'string') return value
  return Object.fromEntries([...value].map(([name, values]) => [name, entity(values.at(-1))]))
}

function entity(value: Value | undefined): unknown {
  if (value === undefined || typeof value === 'string') return value
  const fields = [...value].map(([name, values]) => [name, name === 'values' ? values : values.at(-1)])
  return Object.fromEntries(fields)
}

class TextReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text.trimEnd()
  }

  /** Up to the end of the text, or the bracket that closes it. */
  message(depth: number): Message {
    if (depth > MAX_DEPTH) throw this.#wrong('it is nested too deep')
    const message: Message = new Map()
    for (;;) {
      if (this.#at >= this.#text.length && depth === 0) return message
      const name = this.#next()
      if (depth > 0 && (name === '}' || name === '>')) return message
      if (name === ';' || name === ',') continue
      if (!/^[A-Za-z_]/.test(name)) throw this.#wrong(`${quote(name)} is no name of a field`)
      const values = message.get(name) ?? []
      message.set(name, [...values, this.#value(depth)])
    }
  }

  #value(depth: number): Value {
    const first = this.#next()
    const token = first === ':' ? this.#next() : first
    if (token === '{' || token === '<') return this.message(depth + 1)
    if (first !== ':') throw this.#wrong(`${quote(first)} is where ":" or "{" should be`)
    if (token.startsWith('"') || token.startsWith("'")) return unescaped(token.slice(1, -1))
    if (/^[A-Za-z_]/.test(token)) return token
    throw this.#wrong(`${quote(token)} is no value`)
  }

  #next(): string {
    TOKEN.lastIndex = this.#at
    const match = TOKEN.exec(this.#text)
    const token = match?.[1] ?? match?.[2] ?? match?.[3]
    if (token === undefined) throw this.#wrong(`${quote(this.#text.slice(this.#at, this.#at + 30))} cannot be read`)
    this.#at = TOKEN.lastIndex
    return token
  }

  #wrong(why: string): HoldfastError {
    return new HoldfastError('invalid_option', `ACLs in the text form, at character ${this.#at}: ${why}`)
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/** Bytes beyond ASCII come as three octal digits each. */
function unescaped(text: string): string {
  const parts = text.matchAll(/\\([0-7]{1,3})|\\x([0-9a-fA-F]{1,2})|\\(.)|([^\\]+)/gs)
  const bytes = [...parts].map(([, octal, hex, char, plain]) => {
    if (octal !== undefined) return Buffer.of(Number.parseInt(octal, 8) & 255)
    if (hex !== undefined) return Buffer.of(Number.parseInt(hex, 16))
    return Buffer.from(plain ?? ESCAPES[char ?? ''] ?? char ?? '')
  })
  return Buffer.concat(bytes).toString()
}
