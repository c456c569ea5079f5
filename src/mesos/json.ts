import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'

/**
 * The JSON of an answer to a call, which names the call in `type`: the page of a proxy is no answer.
 * @throws mesos_protocol
 */
export function readJson(url: string, type: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new HoldfastError('mesos_protocol', `${url} answers ${type} with something that is not JSON: ${quote(text)}`)
  }
  if (isObject(value) && value.type === type) return value
  throw new HoldfastError('mesos_protocol', `${url} answers ${type} with something else: ${quote(text)}`)
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
