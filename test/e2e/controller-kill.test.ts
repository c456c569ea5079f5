import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { Random } from '../ledger/support/random.ts'
import { CAPABILITIES, NodeClient } from '../support/node-client.ts'
import { scaled } from '../support/scale.ts'
import { testDir } from '../support/temp-dir.ts'
import { Client, PARENT, POOLS } from './support/controller-book.ts'
import { checkAnswers, checkSums, History, look, settleUnanswered } from './support/controller-check.ts'
import { Http } from './support/controller-http.ts'
import { ControllerProcess, type Ready } from './support/controller-process.ts'

const CLIENTS = 16
const KILLS = scaled(200)
/** After so many kills a new installation begins, so that a start does not get longer and longer. */
const KILLS_OF_ONE = 50

/** Starts controllers on one state, the next one loading its program while the one before it still runs. */
class Succession {
  readonly #state: string
  readonly #cache: string
  #next: ControllerProcess

  constructor(state: string, cache: string) {
    this.#state = state
    this.#cache = cache
    this.#next = this.#spawn()
    onTestFinished(() => this.#next.kill())
  }

  async begin(): Promise<ControllerProcess> {
    const current = this.#next
    this.#next = this.#spawn()
    onTestFinished(() => current.kill())
    await current.loaded()
    current.begin()
    return current
  }

  #spawn(): ControllerProcess {
    return new ControllerProcess({ state: this.#state, cache: this.#cache })
  }
}

/** Commands of the admin that make what the clients share. */
const SET_UP = POOLS.length + 3

/** Pools that a node reaches which takes no work: volumes are placed, and stay as they were asked for. */
async function setUp(ready: Ready): Promise<void> {
  const http = new Http(ready)
  const node = new NodeClient({ url: ready.api, name: 'node-1' })
  expect((await node.join(ready.token)).status).toBe(201)
  const { status } = await http.send('PATCH', '/v1/nodes/node-1', { cordoned: true })
  expect(status).toBe(200)
  await node.hello()
  const pools = []
  for (const name of POOLS) {
    const { body } = await http.send('POST', '/v1/pools', { name, driver: 'loop', capacityMiB: 15_000 })
    pools.push({ poolId: body.id, ok: true, capabilities: CAPABILITIES })
  }
  await node.call('pools', { pools })
  expect((await http.send('PUT', `/v1/roles/${PARENT}`, { quota: { sizeMiB: 27_000 } })).status).toBe(200)
  await node.close()
  http.close()
}

const figures = { kills: 0, duringStart: 0, commands: 0, unanswered: 0, unansweredDone: 0, refused: 0, volumes: 0 }

async function checkAll(ready: Ready, clients: readonly Client[], history: History): Promise<void> {
  const http = new Http(ready)
  await history.read(http)
  history.check(clients, SET_UP)
  const seen = await look(http)
  checkSums(seen)
  checkAnswers(seen, clients)
  figures.unanswered += clients.filter(({ asked }) => asked !== undefined).length
  const done = await Promise.all(clients.map((client) => settleUnanswered(http, client, history)))
  figures.unansweredDone += done.filter(Boolean).length
  await history.read(http)
  history.check(clients, SET_UP)
  const after = await look(http)
  checkSums(after)
  checkAnswers(after, clients)
  http.close()
}

async function killed(controller: ControllerProcess): Promise<void> {
  await controller.kill()
  figures.kills += 1
}

/** One installation, killed again and again. */
async function live(state: string, cache: string, kills: number, random: Random): Promise<void> {
  const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(index))
  const history = new History()
  const succession = new Succession(state, cache)
  for (let kill = 0; ; kill += 1) {
    const controller = await succession.begin()
    if (kill > 0 && kill < kills && random.chance(0.15)) {
      await delay(random.int(0, 150))
      await killed(controller)
      figures.duringStart += 1
      continue
    }
    const ready = await controller.ready()
    if (ready === undefined) throw new Error('the controller ended by itself')
    if (kill === 0) await setUp(ready)
    await checkAll(ready, clients, history)
    if (kill >= kills) {
      await new History().read(new Http(ready))
      await controller.kill()
      break
    }
    const https = clients.map(() => new Http(ready))
    const running = Promise.all(clients.map((client, index) => client.run(https[index] as Http)))
    await Promise.race([delay(random.int(20, 150)), running])
    await killed(controller)
    await running
    for (const http of https) http.close()
  }
  for (const { accepted, refused } of clients) {
    figures.commands += accepted.size + refused.size
    figures.refused += refused.size
    figures.volumes += [...accepted].filter((effect) => effect.startsWith('volume.created')).length
  }
}

test('a controller that is killed at any moment keeps every answer it gave, and does what it did not answer once or not at all', {
  timeout: KILLS * 5000,
}, async () => {
  const dir = testDir()
  const cache = join(dir, 'cache')
  mkdirSync(cache)
  const begun = performance.now()
  for (let left = KILLS, life = 0; left > 0; left -= KILLS_OF_ONE, life += 1) {
    await live(join(dir, `state-${life}`), cache, Math.min(left, KILLS_OF_ONE), new Random(100 + life))
  }
  const seconds = Math.round((performance.now() - begun) / 1000)
  process.stdout.write(`${JSON.stringify({ ...figures, seconds })}\n`)
  expect(figures.kills).toBe(KILLS)
  // enough of it was in the middle of something
  expect(figures.commands).toBeGreaterThan(KILLS * 5)
  expect(figures.volumes).toBeGreaterThan(KILLS)
  expect(figures.unansweredDone).toBeGreaterThan(0)
  expect(figures.unanswered - figures.unansweredDone).toBeGreaterThan(0)
})
