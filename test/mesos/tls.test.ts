import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AgentClient } from '../../src/mesos/agent-client.ts'
import { MesosHttp, type MesosHttpOptions } from '../../src/mesos/http.ts'
import { Authority, type Certificate } from '../support/certificates.ts'
import { needs } from '../support/missing.ts'
import { testDir } from '../support/temp-dir.ts'
import { json, plain, SmallServer } from './master-server.ts'

const INFO = { id: { value: 'agent-1' }, hostname: 'a1', resources: [] }

async function agent(certificate?: Certificate): Promise<SmallServer> {
  return SmallServer.start(
    (call, response) => json(response, { type: call.type, get_agent: { agent_info: INFO } }),
    certificate,
  )
}

function client(url: string, options: MesosHttpOptions): AgentClient {
  const http = new MesosHttp({ timeoutMs: 5000, ...options })
  onTestFinished(() => http.close())
  return new AgentClient(http, url)
}

needs('openssl').describe('an agent behind TLS', () => {
  const { test: needing } = needs('openssl')

  needing('answers whoever has its authority', async () => {
    const authority = new Authority(testDir())
    const { url } = await agent(authority.certificate())
    const answer = await client(url, { ca: readFileSync(authority.file, 'utf8') }).agentInfo()
    expect(answer).toEqual({ kind: 'answered', value: INFO })
  })

  const troubles: [what: string, says: string, of: (authority: Authority, other: Authority) => Certificate][] = [
    ['is of another authority', 'not trusted here', (_, other) => other.certificate()],
    ['has expired', 'has expired (certificate has expired); renew that', (authority) => authority.expired()],
    ['is for another host', 'is for another host', (authority) => authority.certificate('DNS:agent.example')],
  ]
  for (const [what, says, certificateOf] of troubles) {
    needing(`whose certificate ${what} is unreachable, with what would be right`, async () => {
      const dir = testDir()
      const [authority, other] = [new Authority(dir), new Authority(dir, 'other')]
      const { url } = await agent(certificateOf(authority, other))
      const answer = await client(url, { ca: readFileSync(authority.file, 'utf8') }).agentInfo()
      expect(answer).toEqual({ kind: 'unreachable', why: expect.stringContaining(says) })
      expect(answer).toMatchObject({ why: expect.stringContaining(`${url}/api/v1: its certificate`) })
    })
  }

  needing('is unreachable without its authority', async () => {
    const { url } = await agent(new Authority(testDir()).certificate())
    const answer = await client(url, {}).agentInfo()
    expect(answer).toMatchObject({ kind: 'unreachable', why: expect.stringContaining('give the PEM file') })
  })
})

test('an agent that does not speak TLS is told from one that is away', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const answer = await client(`https://127.0.0.1:${(server.address() as AddressInfo).port}`, {}).agentInfo()
  expect(answer).toMatchObject({ kind: 'unreachable', why: expect.stringContaining('have to begin with http://') })
})

describe('the credential for an agent', () => {
  test('is sent to it, and is in no message when it is wrong', async () => {
    const server = await SmallServer.start((_, response) => plain(response, 401, 'Incorrect credentials'))
    const credentials = { principal: 'holdfast', secret: 'hunter2' }
    const answer = await client(server.url, { credentials }).agentInfo()
    expect(server.heard[0]?.authorization).toBe(`Basic ${Buffer.from('holdfast:hunter2').toString('base64')}`)
    expect(answer).toMatchObject({ kind: 'refused', status: 401, why: expect.stringContaining('--http_credentials') })
    expect(JSON.stringify(answer)).not.toContain('hunter2')
  })
})
