import { readFileSync } from 'node:fs'
import { HoldfastError } from '../../../model/errors.ts'

export interface AgentCredential {
  readonly principal: string
  readonly secret: string
}

/**
 * A credential as Mesos' own `--credential` has it: JSON with `principal` and `secret`, or both in one line.
 * @throws invalid_option
 */
export function readCredential(file: string): AgentCredential {
  const text = read(file).trim()
  const found = text.startsWith('{') ? fromJson(file, text) : fromLine(text)
  if (found !== undefined) return found
  throw wrong(file, 'it should be JSON like {"principal": "…", "secret": "…"}, or both in one line with a blank')
}

function fromJson(file: string, text: string): AgentCredential | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    throw wrong(file, (thrown as Error).message)
  }
  const { principal, secret } = value as Record<string, unknown>
  return typeof principal === 'string' && typeof secret === 'string' ? { principal, secret } : undefined
}

function fromLine(text: string): AgentCredential | undefined {
  const [principal, secret, ...more] = text.split(/\s+/)
  return principal === undefined || secret === undefined || more.length > 0 ? undefined : { principal, secret }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw wrong(file, (thrown as Error).message)
  }
}

function wrong(file: string, why: string): HoldfastError {
  return new HoldfastError('invalid_option', `credential ${file}: ${why}`)
}
