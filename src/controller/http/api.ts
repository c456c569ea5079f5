import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { TSchema } from 'typebox'
import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'
import { type Caller, requireAccess } from './caller.ts'
import { COMPONENTS } from './components.ts'
import { parseJson } from './json-body.ts'
import { fastifySchema, openApiOptions } from './openapi.ts'
import type { Api, ApiParts } from './parts.ts'
import { problemOf, rawProblem } from './problems.ts'
import { Call, type Reply, type Route } from './route.ts'
import { methodsAt, ROUTES } from './routes.ts'
import { validator } from './validation.ts'

const BODY_LIMIT = 1024 * 1024
/** A whole request must have arrived within this. */
const REQUEST_TIMEOUT_MS = 30_000

/** The REST door. It is not listening yet; closing it ends its streams and waits, and finishes its answers. */
export function createApi(parts: ApiParts): FastifyInstance {
  const closing = new AbortController()
  const api: Api = { ...parts, closing: closing.signal }
  const app = bareServer(parts)
  app.addHook('preClose', async () => closing.abort())
  app.setErrorHandler((thrown, _request, reply) => answerProblem(reply, thrown, parts.log))
  app.setNotFoundHandler((request, reply) => answerProblem(reply, notFound(request), parts.log))
  app.addHook('onResponse', async (request, reply) => {
    if (!parts.log.isLevelEnabled('debug')) return
    const { method, url } = request
    parts.log.debug({ method, url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, 'answered')
  })
  addRoutes(
    app,
    parts.version,
    (each, request, reply, caller) => answer(api, each, request, reply, caller),
    (each, request) => admit(api, each, request),
  )
  return app
}

/** The description of the door, made without a controller. */
export async function openApiDocument(version: string): Promise<object> {
  const app = Fastify()
  const never = () => Promise.reject(new Error('not served'))
  addRoutes(app, version, never, never)
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}

function bareServer({ config, log }: ApiParts): FastifyInstance {
  const options = {
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: 5000,
    keepAliveTimeout: 72_000,
  }
  return Fastify({
    serverFactory: (handler) => {
      const server =
        config.tls === undefined
          ? createServer(options, handler)
          : createTlsServer({ ...options, ...config.tls }, handler)
      server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
        else socket.end(rawProblem(error))
      })
      return server
    },
    bodyLimit: BODY_LIMIT,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1024 },
    frameworkErrors: (error, _request, reply) => {
      answerProblem(reply as unknown as FastifyReply, error, log)
    },
  })
}

type Answer = (
  each: Route,
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller | undefined,
) => Promise<unknown>
type Admit = (each: Route, request: FastifyRequest) => Promise<Caller | undefined>

function addRoutes(app: FastifyInstance, version: string, handle: Answer, admitted: Admit): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as string))
    } catch (thrown) {
      done(thrown as Error)
    }
  })
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  for (const [name, schema] of Object.entries(COMPONENTS)) app.addSchema({ $id: name, ...schema })
  app.register(swagger, openApiOptions(version))
  // after the description is listening for routes
  app.register((scope, _options, done) => {
    for (const each of ROUTES) addRoute(scope, each, handle, admitted)
    done()
  })
}

function addRoute(scope: FastifyInstance, each: Route, handle: Answer, admitted: Admit): void {
  const checks = {
    params: each.params === undefined ? undefined : validator(each.params, 'path'),
    query: validator(each.query ?? NO_QUERY, 'query'),
    body: each.body === undefined ? undefined : validator(each.body, 'body'),
  }
  const callers = new WeakMap<FastifyRequest, Caller | undefined>()
  scope.route({
    method: each.method,
    url: each.path,
    schema: fastifySchema(each),
    ...(each.bodyLimit === undefined ? {} : { bodyLimit: each.bodyLimit }),
    validatorCompiler: () => () => true,
    // before the body is read: who may not ask need not send it
    onRequest: async (request) => {
      callers.set(request, await admitted(each, request))
    },
    preValidation: async (request) => {
      if (checks.params !== undefined) request.params = checked(checks.params(request.params))
      request.query = checked(checks.query(request.query))
      request.body = bodyOf(each, request.body, checks.body)
    },
    handler: (request, reply) => handle(each, request, reply, callers.get(request)),
  })
}

const NO_QUERY = { type: 'object', properties: {}, additionalProperties: false } as unknown as TSchema

function checked(result: ReturnType<ReturnType<typeof validator>>): unknown {
  if ('error' in result) throw result.error
  return result.value
}

function bodyOf(each: Route, given: unknown, check: ReturnType<typeof validator> | undefined): unknown {
  const absent = given === undefined || given === null
  if (check === undefined) {
    if (absent || (typeof given === 'object' && Object.keys(given).length === 0)) return undefined
    throw new HoldfastError('invalid_request', 'body: nothing is taken here')
  }
  if (given === undefined && each.bodyMayBeAbsent !== true) {
    throw new HoldfastError('invalid_request', 'body: a JSON object must be sent')
  }
  return checked(check(given === undefined ? {} : given))
}

/** @throws unauthenticated, forbidden, not_ready */
async function admit(api: Api, each: Route, request: FastifyRequest): Promise<Caller | undefined> {
  if (each.access === 'open') return undefined
  if (api.closing.aborted) throw new HoldfastError('not_ready', 'the controller is stopping')
  const door = request.headers['holdfast-door']
  const identified = api.auth.identify(request.headers.authorization, Array.isArray(door) ? door.join() : door)
  if (each.access !== 'join') {
    const caller = await identified
    requireAccess(caller, each.access)
    return caller
  }
  // a join token that is used up may still ask for the answer it was given
  return identified.catch((error: HoldfastError) => {
    if (error.code === 'unauthenticated' && request.headers.authorization !== undefined) return undefined
    throw error
  })
}

async function answer(
  api: Api,
  each: Route,
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller | undefined,
): Promise<unknown> {
  const call = new Call(api, caller, `${each.method} ${each.path}`, request, reply)
  const result: Reply | undefined = await each.handle(call)
  if (result === undefined) return reply
  reply.code(result.status)
  if (result.type === undefined) reply.type('application/json; charset=utf-8')
  else reply.type(result.type)
  return result.body
}

function answerProblem(reply: FastifyReply, thrown: unknown, log: Logger): FastifyReply {
  const { status, headers, body } = problemOf(thrown, log)
  return reply
    .code(status)
    .headers(headers)
    .serializer((data: unknown) => JSON.stringify(data))
    .send(body)
}

function notFound(request: FastifyRequest): HoldfastError {
  const path = request.url.split('?', 1)[0] ?? ''
  const methods = methodsAt(path)
  if (methods.length === 0)
    return new HoldfastError('not_found', `there is nothing at ${quote(path)}; see /openapi.json`)
  const allow = methods.join(', ')
  return new HoldfastError('method_not_allowed', `${request.method} is not available at ${quote(path)}; ${allow} is`, {
    allow,
  })
}
