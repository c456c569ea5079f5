import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { HoldfastError } from '../../model/errors.ts'

export interface AgentCredential {
  readonly principal: string
  readonly secret: string
}

/** What it takes to speak with an agent. */
export interface AgentAccess {
  readonly credential?: AgentCredential | undefined
  /** PEM of the authority that signed the agent's certificate, where it is not a public one. */
  readonly ca?: string | undefined
}

/** Where that is: paths. */
export interface AgentFiles {
  readonly credential?: string | undefined
  readonly ca?: string | undefined
}

/** Reads the files as they are now: what an operator puts there counts from the next attempt on. @throws invalid_option */
export function readAgentAccess({ credential, ca }: AgentFiles): AgentAccess {
  return {
    ...(credential === undefined ? {} : { credential: readCredential(credential) }),
    ...(ca === undefined ? {} : { ca: readAuthority(ca) }),
  }
}

/**
 * A credential as Mesos' own `--credential` has it: JSON with `principal` and `secret`, or both in one line. What is
 * in the file is never part of a message.
 */
function readCredential(file: string): AgentCredential {
  const text = read('agent credential', file).trim()
  const found = text.startsWith('{') ? fromJson(text) : fromLine(text)
  if (found !== undefined) return found
  const right = 'it should be JSON like {"principal": "…", "secret": "…"}, or both in one line with a blank'
  throw wrong('agent credential', file, right)
}

function fromJson(text: string): AgentCredential | undefined {
  try {
    const { principal, secret } = JSON.parse(text) as Record<string, unknown>
    return typeof principal === 'string' && typeof secret === 'string' ? { principal, secret } : undefined
  } catch {
    // the parser's sentence quotes what it has read
    return undefined
  }
}

function fromLine(text: string): AgentCredential | undefined {
  const [principal = '', secret = '', ...more] = text.split(/\s+/)
  return principal === '' || secret === '' || more.length > 0 ? undefined : { principal, secret }
}

/** Node takes whatever it is given as authorities, and then trusts nobody. */
function readAuthority(file: string): string {
  const text = read('authority', file)
  try {
    new X509Certificate(text)
  } catch (thrown) {
    throw wrong('authority', file, `it should hold a certificate in PEM (${(thrown as Error).message})`)
  }
  return text
}

function read(what: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw wrong(what, file, (thrown as Error).message)
  }
}

function wrong(what: string, file: string, why: string): HoldfastError {
  return new HoldfastError('invalid_option', `${what} ${file}: ${why}`)
}
