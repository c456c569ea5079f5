import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { linesOf } from '../../src/node/lines.ts'
import { until } from '../support/until.ts'

/** A server that says a line every 5 ms, for as long as anybody listens. */
async function talker() {
  const state = { left: false }
  const server = createServer((_, response) => {
    const timer = setInterval(() => response.write('line\n'), 5)
    response.once('close', () => {
      clearInterval(timer)
      state.left = true
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const agent = new Agent()
  onTestFinished(async () => {
    await agent.destroy()
    server.closeAllConnections()
    server.close()
  })
  const abort = new AbortController()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { body } = await request(url, { dispatcher: agent, signal: abort.signal })
  return { body, abort, state }
}

test('who can not go on with a line closes the body; that it is aborted afterwards harms nobody', async () => {
  const { body, abort, state } = await talker()
  const read = async () => {
    for await (const line of linesOf(body)) throw new Error(`cannot follow ${line}`)
  }
  await expect(read()).rejects.toThrow('cannot follow line')
  // an error that nobody listens to would end this process
  abort.abort()
  await until(() => state.left, { what: 'the body to be closed' })
})

test('a body that breaks is told to the reader', async () => {
  const { body, abort } = await talker()
  let count = 0
  const read = async () => {
    for await (const line of linesOf(body)) {
      count += line.length
      abort.abort()
    }
  }
  await expect(read()).rejects.toThrow('aborted')
  expect(count).toBeGreaterThan(0)
})
