/** From the end of a REX-Ray call to a coded error. */
import { type ErrorCode, HoldfastError } from '../model/errors.ts'
import { usefulLine } from './program-failure.ts'
import type { RunResult } from './run.ts'

/** Words of storage systems that have no room left or give no more. */
const FULL = /no space|insufficient|not enough|out of (space|capacity)|limit ?exceeded|quota/i

/** What REX-Ray (cobra) says of arguments that it does not know, before its usage text, with exit code 0. */
const MISUNDERSTOOD = /^Error: ((?:unknown|invalid|flag needs|bad flag|required).*)$/m

/**
 * What went wrong, or undefined: the exit code alone does not tell, as REX-Ray ends with 0 after a usage text.
 * @param what was asked for, e.g. `volume attach`
 */
export function rexrayFailure(what: string, { code, stdout, stderr }: RunResult): HoldfastError | undefined {
  const misunderstood = MISUNDERSTOOD.exec(stderr) ?? MISUNDERSTOOD.exec(stdout)
  if (misunderstood !== null) {
    const text = `rexray ${what} is not known like that (${misunderstood[1]}): is the setting grammar right for its version?`
    return new HoldfastError('storage_failed', text, { output: stderr.slice(0, 4096) })
  }
  if (code === 0) return undefined
  const said = logLine(stderr) ?? usefulLine('rexray', stderr) ?? usefulLine('rexray', stdout) ?? 'it said nothing'
  const coded: ErrorCode = FULL.test(said) ? 'storage_full' : 'storage_failed'
  return new HoldfastError(coded, `rexray ${what} failed (exit ${code}): ${said}`, { output: stderr.slice(-4096) })
}

/** The last line of logrus that tells of an error: `time="…" level=fatal msg="…" error="…" volume=vol-1`. */
function logLine(stderr: string): string | undefined {
  const line = stderr.split('\n').findLast((each) => /\blevel=(fatal|error)\b/.test(each))
  if (line === undefined) return undefined
  const [message, cause] = [field(line, 'msg'), field(line, 'error')]
  if (message === undefined) return line.slice(0, 500)
  return (cause === undefined ? message : `${message}: ${cause}`).trim().slice(0, 500)
}

function field(line: string, key: string): string | undefined {
  const found = new RegExp(`(?:^| )${key}=("(?:[^"\\\\]|\\\\.)*"|\\S+)`).exec(line)?.[1]
  if (found === undefined || !found.startsWith('"')) return found
  try {
    return String(JSON.parse(found))
  } catch {
    return found
  }
}
