/**
 * The logic of a machine's provider, forked by the holder. It may be killed at any moment: what it must not forget is in
 * the holder's journal, and what it has not consumed the holder gives to its next life.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { destination, pino } from 'pino'
import { HoldfastError } from '../../../model/errors.ts'
import { HttpLink } from '../../../node/http-link.ts'
import { systemClock } from '../../../runtime/system-clock.ts'
import { LocalNodeClient } from '../../local/node-client.ts'
import { type Hello, HOLDER_PROTOCOL, type HolderMessage, type LogicMessage } from '../holder/protocol.ts'
import { agentOf } from './agent-link.ts'
import { ControllerStream } from './controller-stream.ts'
import { Logic } from './logic.ts'
import { perform } from './requests.ts'
import { type LogicSettings, PUBLISH_SECONDS } from './settings.ts'
import { Shell } from './shell.ts'
import { uuidBase64 } from './uuids.ts'

let shell: Shell | undefined

process.on('message', (message: HolderMessage) => {
  if (message.kind === 'hello') shell = start(message)
  else shell?.holderSaid(message)
})
process.on('disconnect', () => process.exit(0))
// both are for the holder, which withdraws in its own order
process.on('SIGINT', () => undefined)
process.on('SIGHUP', () => undefined)

function start(hello: Hello): Shell {
  const settings = hello.settings as LogicSettings
  const log = pino({ level: settings.logLevel }, destination({ dest: 2, sync: true }))
  if (hello.protocol !== HOLDER_PROTOCOL) {
    throw new HoldfastError('store_schema', `the holder speaks protocol ${hello.protocol}; restart the whole provider`)
  }
  const publishMs = (settings.publishSeconds ?? PUBLISH_SECONDS) * 1000
  const apiCa = textOf(settings.apiCa)
  const token = () => tokenOf(settings.tokenFile)
  const logic = new Logic({
    agentUrl: settings.agent,
    newUuid: () => uuidBase64(randomUUID()),
    wallClock: () => new Date().toISOString(),
    publishMs,
  })
  const rest = linkOf(settings.api, apiCa, token)
  const parts = {
    rest,
    node: new LocalNodeClient(settings.nodeSocket),
    agent: agentOf(settings.agent, { credential: settings.agentCredential, ca: settings.agentCa }),
    mountMs: publishMs,
  }
  const made = new Shell({
    logic,
    perform: (request) => perform(parts, request),
    // a holder that has gone takes this process with it
    send: (message: LogicMessage) => process.send?.(message, () => undefined),
    log: (event, data) => log.info({ event, ...data }, event),
    now: () => performance.now(),
  })
  made.holderSaid(hello)
  new ControllerStream({
    api: settings.api,
    ca: apiCa,
    token,
    clock: systemClock,
    onOpen: () => made.step({ kind: 'controller' }),
    onLine: (line) => made.step({ kind: 'line', line }),
    onHeartbeat: () => made.step({ kind: 'heartbeat' }),
    onAway: (error) => log.warn({ event: 'controller.away', message: error.message }, 'controller.away'),
  }).start()
  return made
}

/** One link for as long as the token is the same. */
function linkOf(api: string, ca: string | undefined, token: () => string): () => HttpLink {
  let link: { readonly token: string; readonly http: HttpLink } | undefined
  return () => {
    const now = token()
    if (link?.token === now) return link.http
    void link?.http.close()
    link = { token: now, http: new HttpLink({ api, ca, token: now }) }
    return link.http
  }
}

function tokenOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (thrown) {
    const why = (thrown as Error).message
    throw new HoldfastError('unauthenticated', `no credential of this node in ${file}: ${why}; has the node joined?`)
  }
}

function textOf(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8')
}
