import { quote } from '../model/units.ts'

/** What came over HTTP. */
export interface Answer {
  readonly status: number
  readonly text: string
}

export type Reply = Readonly<Record<string, unknown>>

/** The plugin has answered, with an error. Its message is what the plugin said. */
export class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'Refused'
    this.status = status
  }
}

/** The plugin does not have this call: Get and List came with Docker 1.10, Capabilities with 1.12. */
export class NoSuchCall extends Error {}

/** What the plugin answered is not the protocol; whether it did what was asked is not known. */
export class Garbage extends Error {}

/**
 * A refusal has a status other than 200, an `Err`, or both (docker/cli docs/extend/plugins_volume.md). REX-Ray up to
 * 0.10 says `Error`, without escaping quotes in it; others answer with plain text.
 * @throws Refused, NoSuchCall, Garbage
 */
export function replyOf(call: string, { status, text }: Answer): Reply {
  const reply = objectIn(text)
  const error = reply === undefined ? undefined : [reply.Err, reply.Error].find(isSentence)
  if (error !== undefined) throw new Refused(status, oneLine(error))
  const plain = oneLine(unwrapped(text))
  if (status === 404 && !/\bvolume\b/i.test(plain)) throw new NoSuchCall(`the plugin does not know ${call}`)
  if (status !== 200) throw new Refused(status, plain || `status ${status} without a reason`)
  if (reply === undefined) throw new Garbage(`the answer to ${call} is not a JSON object: ${quote(plain)}`)
  return reply
}

export function isSentence(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

export function isObject(value: unknown): value is Reply {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function objectIn(text: string): Reply | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** `{"Error":"it said "no""}` is not JSON, though it was meant to be. */
function unwrapped(text: string): string {
  return /^\s*\{\s*"(?:Err|Error)"\s*:\s*"(.*)"\s*\}\s*$/s.exec(text)?.[1] ?? text
}

const LONGEST = 400

/** What others wrote, on one line and without control characters. */
function oneLine(text: string): string {
  const line = text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .replace(/ +/g, ' ')
    .trim()
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 3)}...` : line
}
