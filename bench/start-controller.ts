import { runController } from '../src/cli/run-controller.ts'
import { createLog } from '../src/controller/http/log.ts'

/** Started as a process of its own: says `ready` when the API answers. */
const running = await runController({
  state: process.argv[2] as string,
  host: '127.0.0.1',
  port: 0,
  insecure: false,
  leaseMs: 15_000,
  trustClock: true,
  log: createLog('error'),
})
const answer = await fetch(`${running.api}/readyz`)
process.send?.({ ready: answer.ok, api: running.api, token: running.token })
