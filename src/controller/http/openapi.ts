import type { SwaggerOptions } from '@fastify/swagger'
import type { FastifySchema } from 'fastify'
import { ERRORS } from '../../model/errors.ts'
import { ref } from './components.ts'
import type { JsonSchema } from './describe-schema.ts'
import { PROBLEM_TYPE } from './problems.ts'
import type { Route } from './route.ts'

export function openApiOptions(version: string): SwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Holdfast',
        version,
        description: `Errors are RFC 9457 problem documents with one of these codes: ${Object.keys(ERRORS).join(', ')}.`,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as { name: string },
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }],
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => String(json.$id ?? `schema-${index}`) },
  }
}

/** A route as the description shows it; what checks is made from the same schemas. */
export function fastifySchema(each: Route): FastifySchema {
  const response: Record<string, JsonSchema> = {}
  for (const [status, schema] of Object.entries(each.replies)) {
    response[status] = content(status === '202' ? 'Accepted: the work goes on.' : 'Done.', each.produces, schema)
  }
  for (const status of problemStatuses(each))
    response[status] = content('Refused, or failed.', PROBLEM_TYPE, ref('Problem'))
  return {
    tags: [each.tag],
    summary: each.summary,
    ...(each.description === undefined ? {} : { description: each.description }),
    ...(each.access === 'open' ? { security: [] } : {}),
    ...(each.params === undefined ? {} : { params: each.params }),
    ...(each.query === undefined ? {} : { querystring: each.query }),
    ...(each.body === undefined ? {} : { body: each.body }),
    ...(each.method === 'GET' ? {} : { headers: KEY_HEADER }),
    response,
  }
}

const KEY_HEADER = {
  type: 'object',
  properties: {
    'Idempotency-Key': {
      type: 'string',
      minLength: 1,
      maxLength: 128,
      description: 'A repetition within 24 hours with the same key and parameters gives the first answer.',
    },
  },
}

function content(description: string, type: string | undefined, schema: JsonSchema): JsonSchema {
  return { description, content: { [type ?? 'application/json']: { schema } } }
}

/** What may come instead of the answer. */
function problemStatuses(each: Route): number[] {
  const statuses = [400, 500, 503]
  if (each.access !== 'open') statuses.push(401, 403)
  if (each.params !== undefined || each.query !== undefined || each.body !== undefined) statuses.push(404)
  if (each.method !== 'GET') statuses.push(409, 413, 415, 504, 507)
  if (each.path === '/v1/events') statuses.push(410)
  if (each.path === '/v1/node/stream') statuses.push(409)
  return statuses
}
