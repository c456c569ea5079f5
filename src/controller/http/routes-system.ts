import { HoldfastError } from '../../model/errors.ts'
import type { ClockSuspension } from '../../model/records.ts'
import { actorOf, OPERATE, READ, requireAccess } from './caller.ts'
import { formatTime } from './rest-schema.ts'
import { ok, type Route, route } from './route.ts'
import { ShownStatus, showStatus } from './show-status.ts'

const Alive = {
  type: 'object',
  required: ['status'],
  properties: { status: { type: 'string' } },
  additionalProperties: false,
}
const Times = {
  type: 'object',
  required: ['from', 'to'],
  properties: { from: { type: 'string', format: 'date-time' }, to: { type: 'string', format: 'date-time' } },
  additionalProperties: false,
}

export const SYSTEM_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/healthz',
    access: 'open',
    tag: 'system',
    summary: 'Whether the process is alive',
    replies: { 200: Alive },
    handle: async () => ok({ status: 'alive' }),
  }),
  route({
    method: 'GET',
    path: '/readyz',
    access: 'open',
    tag: 'system',
    summary: 'Whether this controller leads',
    replies: { 200: Alive },
    async handle(call) {
      if (call.api.controller.engine.leading && !call.api.closing.aborted) return ok({ status: 'leading' })
      throw new HoldfastError('not_ready', 'this controller does not lead: it is loading, or another one does')
    },
  }),
  route({
    method: 'GET',
    path: '/metrics',
    access: 'open',
    tag: 'system',
    summary: 'Figures for Prometheus; from elsewhere than this machine it takes a reader token',
    produces: 'text/plain',
    replies: { 200: { type: 'string' } },
    async handle(call) {
      const { auth, metrics, controller, mesos } = call.api
      if (!isLoopback(call.request.raw.socket.remoteAddress)) {
        requireAccess(await auth.identify(call.request.headers.authorization, undefined), [
          'admin',
          'operator',
          'reader',
        ])
      }
      return { status: 200, body: await metrics.text(controller, mesos), type: metrics.contentType }
    },
  }),
  route({
    method: 'GET',
    path: '/openapi.json',
    access: 'open',
    tag: 'system',
    summary: 'This description',
    replies: { 200: { type: 'object' } },
    handle: async (call) => ok(call.request.server.swagger()),
  }),
  route({
    method: 'GET',
    path: '/v1/status',
    access: READ,
    tag: 'system',
    summary: 'What an operator wants to know first',
    replies: { 200: ShownStatus },
    handle: (call) => call.read((state) => ok(showStatus(state, call.api.controller, call.api.version))),
  }),
  route({
    method: 'POST',
    path: '/v1/clock/confirm',
    access: OPERATE,
    tag: 'system',
    summary: 'Say that the wall clock is right after a jump: expiry goes on',
    replies: { 200: Times },
    async handle(call) {
      const answer = await call.api.controller.engine.confirmClock(actorOf(call.caller), call.key())
      const { from, to } = answer as ClockSuspension
      return ok({ from: formatTime(from), to: formatTime(to) })
    },
  }),
]

export function isLoopback(address: string | undefined): boolean {
  return (
    address !== undefined &&
    /^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1|::ffff:127\.\d{1,3}\.\d{1,3}\.\d{1,3})$/.test(address)
  )
}
