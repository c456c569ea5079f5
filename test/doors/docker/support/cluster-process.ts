/**
 * One process of a cluster, a controller or a node with its Docker door, until SIGTERM. Run by `cluster.ts` with the
 * role and its options as JSON; says one JSON line when it is ready.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { runController } from '../../../../src/cli/run-controller.ts'
import { runNode } from '../../../../src/cli/run-node.ts'
import type { DockerDoorConfig } from '../../../../src/doors/docker/config.ts'
import { createDockerDoor } from '../../../../src/doors/docker/door.ts'
import { HttpLink } from '../../../../src/node/http-link.ts'

export interface ControllerProcess {
  readonly state: string
  readonly port: number
  readonly leaseMs: number
}

export interface NodeProcess {
  readonly name: string
  readonly api: string
  readonly joinToken: string
  readonly state: string
  readonly mountRoot: string
  readonly leaseMs: number
  readonly socket: string
  readonly config: DockerDoorConfig
}

const log = pino({ level: 'info' }, pino.destination(2))
const [, , role, json = '{}'] = process.argv
const stop = role === 'controller' ? await controller(JSON.parse(json)) : await node(JSON.parse(json))
process.once('SIGTERM', () => {
  void stop().then(() => process.exit(0))
})

async function controller({ state, port, leaseMs }: ControllerProcess): Promise<() => Promise<void>> {
  const running = await runController({
    state,
    port,
    leaseMs,
    host: '127.0.0.1',
    insecure: false,
    trustClock: true,
    log,
  })
  console.log(JSON.stringify({ api: running.api, token: running.token }))
  return running.stop
}

async function node({ socket, config, ...options }: NodeProcess): Promise<() => Promise<void>> {
  const running = await runNode({ ...options, mountRoots: [], labels: {}, log })
  const token = readFileSync(join(options.state, 'node.token'), 'utf8').trim()
  const link = new HttpLink({ api: options.api, token })
  const door = createDockerDoor({ node: running.daemon, rest: link, socket, config, log })
  await door.listen()
  console.log(JSON.stringify({ socket }))
  return async () => {
    await door.close()
    await link.close()
    await running.stop()
  }
}
