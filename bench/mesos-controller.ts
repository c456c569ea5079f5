import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { runController } from '../src/cli/run-controller.ts'
import { createLog } from '../src/controller/http/log.ts'

/** What the bench asks of this process. */
export type Ask = { readonly kind: 'memory' } | { readonly kind: 'write'; readonly text: string }

/**
 * Started as a process of its own: a controller, and beside it the reference, a plain server that writes a text to all
 * its sockets when it is told to.
 */
const running = await runController({
  state: process.argv[2] as string,
  host: '127.0.0.1',
  port: 0,
  insecure: false,
  leaseMs: 15_000,
  trustClock: true,
  log: createLog('error'),
})
const sockets = new Set<Socket>()
const reference = createServer((socket) => {
  sockets.add(socket)
  socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
})
reference.listen(0, '127.0.0.1')
await once(reference, 'listening')

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

process.on('message', (ask: Ask) => {
  if (ask.kind === 'memory') {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    process.send?.({ bytes: heapUsed + external })
  } else for (const socket of sockets) socket.write(ask.text)
})
process.send?.({ api: running.api, reference: (reference.address() as AddressInfo).port })
