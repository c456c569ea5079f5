import { quote } from '../../model/units.ts'
import { failed, oneLine } from './failure.ts'
import type { Answer } from './http-answer.ts'

export type Reply = Readonly<Record<string, unknown>>

/** The driver has answered, with an error. Its message is what the driver said. */
export class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'Refused'
    this.status = status
  }
}

/**
 * A refusal has a status other than 200, an `Err`, or both (docker/cli docs/extend/plugins_volume.md). REX-Ray up to
 * 0.10 says `Error`, without escaping quotes in it; others answer with plain text.
 * @throws Refused
 */
export function replyOf(path: string, { status, text }: Answer): Reply {
  const reply = parsed(text)
  const error = reply === undefined ? undefined : [reply.Err, reply.Error].find((each) => isText(each))
  if (error !== undefined) throw new Refused(status, oneLine(String(error)))
  if (status !== 200) throw new Refused(status, oneLine(unwrapped(text)) || `status ${status} without a reason`)
  if (reply === undefined) {
    throw failed(`the answer to ${path.slice(1)} is not a JSON object: ${quote(oneLine(text))}`)
  }
  return reply
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function parsed(text: string): Reply | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Reply) : undefined
  } catch {
    return undefined
  }
}

/** `{"Error":"it said "no""}` is not JSON, though it was meant to be. */
function unwrapped(text: string): string {
  return /^\s*\{\s*"(?:Err|Error)"\s*:\s*"(.*)"\s*\}\s*$/s.exec(text)?.[1] ?? text
}
