import { MesosStage } from './mesos-stage.ts'
import { tellOfMesos } from './mesos-story.ts'
import { Stage } from './stage.ts'
import { tell } from './story.ts'
import { heldSoFar } from './telling.ts'

/** The demonstrations: set a stage, tell a story on it, strike it (or leave it to the visitor with `--stay`). */
const known = new Set(['--stay', '--no-docker', '--mesos'])
const wrong = process.argv.slice(2).find((argument) => !known.has(argument))
if (wrong !== undefined) {
  process.stderr.write(
    `demo: unknown option ${wrong}; there are --stay (leave it running), --no-docker and --mesos (the story of offers)\n`,
  )
  process.exit(2)
}
if (process.geteuid?.() !== 0) {
  process.stderr.write('demo: it makes real loop devices and mounts, so it must run as root\n')
  process.exit(6)
}

interface Play {
  tell(): Promise<void>
  /** Brings back what the story took away, and says how to look around. */
  invite(): Promise<readonly string[]>
  strike(): Promise<void>
}

const begun = Date.now()
let told = false
const play = process.argv.includes('--mesos') ? await ofMesos() : await ofDocker()
const interrupted = Promise.withResolvers<never>()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.reject(new Error(`ended by ${signal}`)))
}
interrupted.promise.catch(() => undefined)

try {
  await Promise.race([perform(), interrupted.promise])
} catch (thrown) {
  if (!told) {
    process.stderr.write(`\nThe demonstration failed: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`)
    process.exitCode = 1
  }
} finally {
  await play.strike()
  process.stdout.write('Nothing was left behind.\n')
}

async function perform(): Promise<void> {
  await play.tell()
  const seconds = Math.round((Date.now() - begun) / 1000)
  process.stdout.write(`\nDone in ${seconds} seconds; ${heldSoFar()} expectations held.\n`)
  if (!process.argv.includes('--stay')) return
  const lines = ['', 'It stays. In another terminal:', ...(await play.invite()), 'Ctrl-C ends it and cleans up.', '']
  process.stdout.write(lines.join('\n'))
  told = true
  await interrupted.promise
}

async function ofDocker(): Promise<Play> {
  const stage = await Stage.empty()
  return {
    strike: () => stage.strike(),
    async tell() {
      process.stdout.write('== Setting up: storage on a sparse image with xfs, a controller, two nodes\n')
      await stage.buildStorage()
      await stage.startController()
      const withDocker = !process.argv.includes('--no-docker')
      const first = await stage.startMachine('node-1', withDocker)
      await stage.startMachine('node-2', withDocker && first.docker !== undefined)
      await tell(stage)
    },
    async invite() {
      await stage.restart()
      return [
        ...environment(stage),
        '  bin/holdfast status',
        ...stage.machines.flatMap(({ name, docker }) =>
          docker === undefined ? [] : [`  export DOCKER_HOST=unix://${docker.socket}   # Docker on ${name}`],
        ),
      ]
    },
  }
}

async function ofMesos(): Promise<Play> {
  const scene = await MesosStage.empty()
  return {
    strike: () => scene.strike(),
    async tell() {
      process.stdout.write('== Setting up: storage on a sparse image with xfs, a controller, two nodes\n')
      await scene.build(['node-1', 'node-2'])
      await tellOfMesos(scene)
    },
    async invite() {
      await scene.restart()
      const { url } = scene.mesos.master
      return [
        ...environment(scene.stage),
        '  bin/holdfast mesos status',
        `  curl -s ${url}/api/v1 -H 'content-type: application/json' -d '{"type": "GET_AGENTS"}'`,
        '  $(bin/holdfast --find-node) examples/mesos-framework/main.ts --role web --size 1024 \\',
        `    --master ${url} --state ${scene.stage.directory}/database.json   # a framework of your own`,
      ]
    },
  }
}

function environment(stage: Stage): string[] {
  return [`  export HOLDFAST_API=${stage.api} HOLDFAST_TOKEN_FILE=${stage.tokenFile}`]
}
