import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'

/** Reads a JSON body; an empty one is none. @throws invalid_request saying where it stops being JSON */
export function parseJson(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch (thrown) {
    const { position, found } = place((thrown as Error).message, text)
    const before = text.slice(0, position)
    const line = before.split('\n').length
    const column = position - before.lastIndexOf('\n')
    throw new HoldfastError('invalid_request', `the body is not JSON: ${found} at line ${line}, column ${column}`, {
      line,
      column,
    })
  }
}

/** V8 says the position of most mistakes, but not of an unexpected token. */
function place(message: string, text: string): { position: number; found: string } {
  const said = /at position (\d+)/.exec(message)?.[1]
  const position = said !== undefined ? Number(said) : isUnfinished(text) ? text.length : lastViable(text)
  if (position >= text.length) return { position: text.length, found: 'it ends too early' }
  return { position, found: `unexpected ${quote(text.charAt(position))}` }
}

/** The longest beginning that could still become JSON: up to where the mistake is. */
function lastViable(text: string): number {
  let good = 0
  let bad = text.length
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (isUnfinished(text.slice(0, middle))) good = middle
    else bad = middle
  }
  return good
}

/** Whether a text is JSON, or could be if more came. */
function isUnfinished(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (thrown) {
    const { message } = thrown as Error
    const position = /at position (\d+)/.exec(message)?.[1]
    return position === undefined ? message.includes('end of JSON') : Number(position) >= text.length
  }
}
