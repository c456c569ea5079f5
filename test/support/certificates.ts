/** An authority and certificates for tests of TLS, made by openssl (`needs('openssl')`). */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificate {
  /** PEM. */
  readonly key: string
  readonly cert: string
}

export class Authority {
  readonly #dir: string
  readonly #name: string
  #made = 0

  /** @param dir an existing directory */
  constructor(dir: string, name = 'authority') {
    this.#dir = dir
    this.#name = name
    const subject = ['-subj', `/CN=${name}`, '-addext', 'basicConstraints=critical,CA:TRUE']
    this.#openssl('req', '-x509', ...newKey(this.#path('key')), '-out', this.file, '-days', '2', ...subject)
  }

  /** Its certificate, PEM. */
  get file(): string {
    return this.#path('pem')
  }

  /** @param host as in `IP:127.0.0.1` or `DNS:agent.example` */
  certificate(host = 'IP:127.0.0.1', days = 2): Certificate {
    this.#made += 1
    const path = (end: string) => this.#path(`${this.#made}.${end}`)
    writeFileSync(path('ext'), `subjectAltName=${host}\n`)
    this.#openssl('req', '-new', ...newKey(path('key')), '-out', path('csr'), '-subj', '/CN=agent')
    const signer = ['-CA', this.file, '-CAkey', this.#path('key'), '-CAcreateserial']
    const what = ['-days', String(days), '-extfile', path('ext'), '-out', path('pem')]
    this.#openssl('x509', '-req', '-in', path('csr'), ...signer, ...what)
    return { key: readFileSync(path('key'), 'utf8'), cert: readFileSync(path('pem'), 'utf8') }
  }

  /** One that ended yesterday. */
  expired(): Certificate {
    return this.certificate('IP:127.0.0.1', -1)
  }

  #path(end: string): string {
    return join(this.#dir, `${this.#name}.${end}`)
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'ignore' })
  }
}

function newKey(path: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', path]
}
