/**
 * A controller in a process of its own: `controller-entry.ts STATE PORT`. It says `loaded` when its program is loaded,
 * begins when a line arrives on its standard input, says where it listens, and stops when that input ends.
 */
import { once } from 'node:events'
import { flushCompileCache } from 'node:module'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import { runController } from '../../../src/cli/run-controller.ts'
import { asHoldfastError } from '../../../src/model/errors.ts'

const [state = '', port = '0'] = process.argv.slice(2)
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const input = createInterface({ input: process.stdin })
say({ loaded: true })
flushCompileCache()
await once(input, 'line')
try {
  const { api, token, stop } = await runController({
    state,
    host: '127.0.0.1',
    port: Number(port),
    insecure: false,
    leaseMs: 15_000,
    log: pino({ level: 'silent' }),
  })
  say({ api, token })
  flushCompileCache()
  await once(input, 'close')
  await stop()
} catch (thrown) {
  const { code, message } = asHoldfastError(thrown)
  say({ code, message })
  process.exitCode = 1
}
