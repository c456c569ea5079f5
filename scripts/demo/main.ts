import { Stage } from './stage.ts'
import { tell } from './story.ts'

/** The demonstration: sets a stage, tells the story on it, strikes it (or leaves it to the visitor with `--stay`). */
const known = new Set(['--stay', '--no-docker'])
const wrong = process.argv.slice(2).find((argument) => !known.has(argument))
if (wrong !== undefined) {
  process.stderr.write(`demo: unknown option ${wrong}; there are --stay (leave it running) and --no-docker\n`)
  process.exit(2)
}
if (process.geteuid?.() !== 0) {
  process.stderr.write('demo: it makes real loop devices and mounts, so it must run as root\n')
  process.exit(6)
}

const begun = Date.now()
const stage = await Stage.empty()
const interrupted = Promise.withResolvers<never>()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.reject(new Error(`ended by ${signal}`)))
}
interrupted.promise.catch(() => undefined)

try {
  await Promise.race([play(), interrupted.promise])
} catch (thrown) {
  process.stderr.write(`\nThe demonstration failed: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`)
  process.exitCode = 1
} finally {
  await stage.strike()
  process.stdout.write('Nothing was left behind.\n')
}

async function play(): Promise<void> {
  process.stdout.write('== Setting up: storage on a sparse image with xfs, a controller, two nodes\n')
  await stage.buildStorage()
  await stage.startController()
  const withDocker = !process.argv.includes('--no-docker')
  const first = await stage.startMachine('node-1', withDocker)
  await stage.startMachine('node-2', withDocker && first.docker !== undefined)
  await tell(stage)
  process.stdout.write(`\nDone in ${Math.round((Date.now() - begun) / 1000)} seconds.\n`)
  if (process.argv.includes('--stay')) await stay()
}

/** Until Ctrl-C. */
async function stay(): Promise<never> {
  await stage.restart()
  process.stdout.write(
    [
      '',
      'It stays. In another terminal:',
      `  export HOLDFAST_API=${stage.api} HOLDFAST_TOKEN_FILE=${stage.tokenFile}`,
      '  bin/holdfast status',
      ...stage.machines.flatMap(({ name, docker }) =>
        docker === undefined ? [] : [`  export DOCKER_HOST=unix://${docker.socket}   # Docker on ${name}`],
      ),
      'Ctrl-C ends it and cleans up.',
      '',
    ].join('\n'),
  )
  return interrupted.promise
}
