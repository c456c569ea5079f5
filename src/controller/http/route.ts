import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static, TObject, TSchema } from 'typebox'
import type { Command } from '../../ledger/commands.ts'
import type { Key } from '../../ledger/decide.ts'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import { digest, fingerprint } from '../../runtime/secrets.ts'
import type { Answer } from '../engine.ts'
import { type Access, actorOf, type Caller } from './caller.ts'
import type { JsonSchema } from './describe-schema.ts'
import type { Api } from './parts.ts'
import { bodySchema } from './rest-schema.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Nothing = Record<never, never>
type Values<S> = S extends TSchema ? Static<S> : Nothing

/** One row of the table of routes: what it takes, who may use it, what it answers. */
export interface Definition<P, Q, B> {
  readonly method: Method
  readonly path: string
  readonly access: Access
  /** The noun, for grouping in the description. */
  readonly tag: string
  readonly summary: string
  readonly description?: string
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** No body is the same as an empty one. */
  readonly bodyMayBeAbsent?: boolean
  /** Largest body, bytes; 1 MiB if not given. */
  readonly bodyLimit?: number
  /** What it answers when all is well, by status. */
  readonly replies: Readonly<Record<number, JsonSchema>>
  /** Content type of those answers; JSON if not given. */
  readonly produces?: string
  /** Undefined when the handler answers by itself (streams). */
  readonly handle: (call: Call<Values<P>, Values<Q>, Values<B>>) => Promise<Reply | undefined>
}

export type Route = Definition<TObject | undefined, TObject | undefined, TSchema | undefined>

export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly type?: string
}

export const ok = (body: unknown): Reply => ({ status: 200, body })
export const created = (body: unknown): Reply => ({ status: 201, body })
export const accepted = (body: unknown): Reply => ({ status: 202, body })

/** Ties the types of a route's schemas to its handler. */
export function route<
  const P extends TObject | undefined = undefined,
  const Q extends TObject | undefined = undefined,
  const B extends TSchema | undefined = undefined,
>(definition: Definition<P, Q, B>): Route {
  const { query } = definition as unknown as Route
  return { ...(definition as unknown as Route), ...(query === undefined ? {} : { query: bodySchema(query) }) }
}

/** Where in the query a request says how long it waits; not part of what it asks for. */
const NOT_PARAMETERS: ReadonlySet<string> = new Set(['wait'])
const KEY_LIFE_MS = 24 * 60 * 60 * 1000

/** One request, its input checked, and what its handler may do. */
export class Call<P = Nothing, Q = Nothing, B = Nothing> {
  readonly api: Api
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly #caller: Caller | undefined
  /** The command for idempotency keys. */
  readonly #name: string

  constructor(api: Api, caller: Caller | undefined, name: string, request: FastifyRequest, reply: FastifyReply) {
    this.api = api
    this.#caller = caller
    this.#name = name
    this.request = request
    this.reply = reply
    this.params = request.params as P
    this.query = request.query as Q
    this.body = request.body as B
  }

  /** @throws unauthenticated on open routes, where there may be none */
  get caller(): Caller {
    if (this.#caller === undefined) throw new HoldfastError('unauthenticated', 'this takes a token')
    return this.#caller
  }

  get known(): Caller | undefined {
    return this.#caller
  }

  /** The ledger's time, ms since 1970. */
  get now(): number {
    return this.api.controller.engine.now()
  }

  read<T>(read: (state: LedgerState) => T): Promise<T> {
    return this.api.controller.engine.read(read)
  }

  /** Asks for a command in the caller's name, under its idempotency key if it sent one. */
  async submit(
    command: Command | ((state: LedgerState) => Command),
    actor = actorOf(this.caller),
    key = this.key(),
  ): Promise<Answer> {
    try {
      return await this.api.controller.engine.submit({ actor, key, command })
    } catch (thrown) {
      if (thrown instanceof HoldfastError) this.api.metrics.refused(thrown.code)
      throw thrown
    }
  }

  /** @throws invalid_option for a key that is not 1 to 128 printable characters */
  key(): Key | undefined {
    const text = this.request.headers['idempotency-key']
    if (text === undefined || this.#caller === undefined) return undefined
    if (typeof text !== 'string' || !/^[\x20-\x7e]{1,128}$/.test(text)) {
      throw new HoldfastError('invalid_option', 'header Idempotency-Key: 1 to 128 printable ASCII characters')
    }
    const { door, principal } = this.#caller
    const query = Object.entries(this.query as object).filter(([name]) => !NOT_PARAMETERS.has(name))
    return {
      id: digest(JSON.stringify([door, principal, this.#name, text])),
      fingerprint: fingerprint({ params: this.params, query: Object.fromEntries(query), body: this.body ?? {} }),
      expiresAt: this.now + KEY_LIFE_MS,
    }
  }
}
