import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Line, median } from './figures.ts'

const ROUNDS = 5
const ROUND_MS = 1000

/** Durable holds per second through HTTP, with the controller in a process of its own. */
export async function benchHttp(callers: readonly number[]): Promise<Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'hfb-'))
  const child = fork(new URL('./start-controller.ts', import.meta.url), [join(directory, 'state')], {
    stdio: 'inherit',
  })
  try {
    const { api, token } = await new Promise<{ api: string; token: string }>((resolve, reject) => {
      child.once('message', (message) => resolve(message as { api: string; token: string }))
      child.once('exit', (code) => reject(new Error(`the controller ended with ${code}`)))
    })
    const pool = {
      name: 'loop~bench~pool',
      driver: 'loop',
      settings: { directory: '/nowhere' },
      capacityMiB: 2 ** 43,
      iops: 0,
    }
    await post(new Agent(), api, token, '/v1/pools', pool)
    const lines: Line[] = []
    for (const count of callers) {
      const rates: number[] = []
      for (let round = -1; round < ROUNDS; round += 1) {
        const rate = await holdsPerSecond(api, token, count)
        if (round >= 0) rates.push(rate)
      }
      const note = count === 128 ? 'guide 3,000/s' : ''
      lines.push({
        name: `holds through HTTP, ${count} clients`,
        ours: median(rates),
        reference: undefined,
        unit: 'holds/s',
        against: '',
        note,
      })
    }
    return lines
  } finally {
    child.removeAllListeners('exit')
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
}

async function holdsPerSecond(api: string, token: string, clients: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const begun = performance.now()
  let count = 0
  const client = async () => {
    while (performance.now() - begun < ROUND_MS) {
      await post(agent, api, token, '/v1/holds', { pool: 'loop~bench~pool', role: 'bench', sizeMiB: 1 })
      count += 1
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  agent.destroy()
  return (count * 1000) / (performance.now() - begun)
}

function post(agent: Agent, api: string, token: string, path: string, body: object): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'idempotency-key': randomUUID(),
  }
  const call = request(`${api}${path}`, { agent, method: 'POST', headers }, (answer) => {
    answer.resume()
    answer.on('end', () => (answer.statusCode === 201 ? resolve() : reject(new Error(`HTTP ${answer.statusCode}`))))
  })
  call.on('error', reject).end(JSON.stringify(body))
  return promise
}
