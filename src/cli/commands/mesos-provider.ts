import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import type { RunningProvider } from '../run-provider.ts'
import { LEVELS, logTo, settings } from './daemons.ts'
import { oneOf, whole } from './options.ts'

/** Adds `provider` to the noun `mesos`. */
export function defineMesosProvider(noun: Command): void {
  noun
    .command('provider')
    .description("run this machine's provider for its Mesos agent in the foreground; TERM withdraws, then ends it")
    .option('--agent <url>', 'URL of the agent')
    .option('--agent-credential <file>', "file with principal and secret for the agent's API")
    .option('--agent-ca <file>', "PEM file of the authority that signed the agent's certificate")
    .option('--state <directory>', 'where it keeps what it owes')
    .option('--node-socket <path>', "the node daemon's local socket")
    .option('--credential <directory>', "the node daemon's state directory, where its credential is")
    .option(
      '--publish-seconds <seconds>',
      'how long a task may wait for its volumes before it fails',
      whole('--publish-seconds', 5, 58),
    )
    .addOption(oneOf('--log <level>', 'how much is logged', LEVELS))
    .action(async function (this: Command) {
      const options = this.optsWithGlobals<Record<string, unknown>>()
      const { config } = await settings(options, 'mesos', {
        agent: 'agent',
        api: 'api',
        agentCredential: 'agentCredential',
        agentCa: 'agentCa',
        publishSeconds: 'publishSeconds',
        state: 'state',
        nodeSocket: 'nodeSocket',
        credential: 'credential',
        log: 'log',
      })
      const { agent, agentCredential, agentCa, api, ca, state, nodeSocket, credential, log } = config.mesos
      if (agent === undefined) {
        throw new HoldfastError('invalid_option', "give the agent's URL with --agent or mesos.agent")
      }
      const { runProvider } = await import('../run-provider.ts')
      const started = runProvider({
        agent,
        agentCredential,
        agentCa,
        api,
        apiCa: ca,
        state,
        nodeSocket,
        credential,
        stopMs: config.mesos.stopSeconds * 1000,
        publishSeconds: config.mesos.publishSeconds,
        log: await logTo(log),
      })
      await stayUntilWithdrawn(started)
    })
}

/**
 * TERM and INT withdraw in good order, a second one ends the patience, HUP restarts the inner half. Nothing that goes
 * wrong ends the process before: the end of its connections can abort the agent.
 */
async function stayUntilWithdrawn(starting: Promise<RunningProvider>): Promise<void> {
  const alive = setInterval(() => {}, 2 ** 30)
  const asked = Promise.withResolvers<void>()
  const now = new AbortController()
  let signals = 0
  const stop = () => {
    signals += 1
    asked.resolve()
    if (signals > 1) now.abort()
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  try {
    const running = await starting
    process.on('SIGHUP', () => running.restartLogic())
    process.on('uncaughtException', (error) => process.stderr.write(`holdfast: ${error.stack ?? error.message}\n`))
    await asked.promise
    await running.stop(now.signal)
  } finally {
    clearInterval(alive)
  }
}
