import { ERRORS, type ErrorCode, HoldfastError, isErrorCode } from '../../model/errors.ts'

/** An RFC 9457 problem document, as the REST interface has it. */
export const PROBLEM_TYPE = 'application/problem+json'

export function problemOf({ code, message, data }: HoldfastError): Record<string, unknown> {
  const { title, status } = ERRORS[code]
  return { ...data, type: `urn:holdfast:error:${code}`, title, status, detail: message, code }
}

/** The error that a problem document tells of. Anything else becomes `otherwise`, with what it was. */
export function fromProblem(status: number, text: string, otherwise: ErrorCode): HoldfastError {
  try {
    const { code, detail, title, type: _, status: _s, ...data } = JSON.parse(text) as Record<string, unknown>
    if (isErrorCode(code)) return new HoldfastError(code, String(detail ?? title ?? code), data)
  } catch {
    // no problem document: something else answered
  }
  return new HoldfastError(otherwise, `HTTP ${status} without a problem document`)
}
