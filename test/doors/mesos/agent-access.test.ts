import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readAgentAccess } from '../../../src/doors/mesos/agent-access.ts'
import { Authority } from '../../support/certificates.ts'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { holderWorld, subscribe } from './support/holder-world.ts'
import { RawAgent } from './support/raw-agent.ts'

function file(text: string): string {
  const path = join(testDir(), 'file')
  writeFileSync(path, text)
  return path
}

describe('the files for an agent', () => {
  test.each(['holdfast hunter2\n', '{"principal": "holdfast", "secret": "hunter2"}'])('a credential is %s', (text) => {
    expect(readAgentAccess({ credential: file(text) })).toEqual({
      credential: { principal: 'holdfast', secret: 'hunter2' },
    })
  })

  test.each([
    '',
    'hunter2',
    'holdfast hunter2 more',
    '{"principal": "holdfast", "secret": hunter2}',
    '{"secret": "hunter2"}',
  ])('%j is no credential, and its text is in no message', (text) => {
    const path = file(text)
    const read = () => readAgentAccess({ credential: path })
    expect(read).toThrow(`agent credential ${path}: it should be JSON like`)
    expect(read).not.toThrow('hunter2')
  })

  test('what is no certificate is refused, where TLS would take it and trust nobody', () => {
    const ca = file('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    expect(() => readAgentAccess({ ca })).toThrow(`authority ${ca}: it should hold a certificate in PEM`)
  })

  test('a file that is not there is named', () => {
    expect(() => readAgentAccess({ ca: '/nowhere/ca.pem' })).toThrow('authority /nowhere/ca.pem: ENOENT')
  })
})

needs('openssl').describe('a stream over TLS', () => {
  const { test: needing } = needs('openssl')

  needing('is open with the authority and the credential; its calls carry them as well', async () => {
    const authority = new Authority(testDir())
    const agent = await RawAgent.start(authority.certificate())
    const files = { ca: authority.file, credential: file('holdfast hunter2') }
    const { logic } = holderWorld({}, undefined, () => readAgentAccess(files))
    subscribe(logic, agent.url)
    await logic.event('SUBSCRIBED')
    const body = {
      type: 'UPDATE_PUBLISH_RESOURCES_STATUS',
      resource_provider_id: { value: 'id-of-p' },
      update_publish_resources_status: { uuid: { value: 'u' }, status: 'OK' },
    } as const
    agent.send({ type: 'PUBLISH_RESOURCES', publish_resources: { uuid: { value: 'u' }, resources: [] } })
    await logic.event('PUBLISH_RESOURCES')
    const id = logic.ready({ calls: [{ key: 'p', body }] })
    expect(await logic.done(id)).toMatchObject({ results: [{ status: 202 }] })
    const basic = `Basic ${Buffer.from('holdfast:hunter2').toString('base64')}`
    expect([...agent.subscribes, ...agent.calls].map(({ authorization }) => authorization)).toEqual([basic, basic])
  })

  needing('is refused while something is wrong, says what, and is open when that is put right', async () => {
    const dir = testDir()
    const [authority, other] = [new Authority(dir), new Authority(dir, 'other')]
    const agent = await RawAgent.start(authority.certificate())
    const files: { ca: string; credential?: string } = { ca: other.file }
    const { logic, logs } = holderWorld({}, undefined, () => readAgentAccess(files))
    const tried = async (key: string) => {
      subscribe(logic, agent.url, undefined, key)
      return logic.ended(key)
    }
    const untrusted = `${agent.url}: its certificate is of an authority that is not trusted here`
    expect(await tried('a')).toMatchObject({ reason: 'refused', text: expect.stringContaining(untrusted) })

    files.ca = join(dir, 'gone.pem')
    expect(await tried('b')).toMatchObject({ reason: 'refused', text: expect.stringContaining('gone.pem: ENOENT') })

    files.ca = authority.file
    files.credential = file('holdfast hunter2')
    agent.onSubscribe = (_, response) => response.writeHead(401).end('Incorrect credentials')
    const unknown = 'principal and secret are missing or wrong'
    expect(await tried('c')).toMatchObject({ reason: 'refused', status: 401, text: expect.stringContaining(unknown) })

    agent.onSubscribe = (asked, response) => agent.accept(response, asked)
    subscribe(logic, agent.url, undefined, 'd')
    await logic.event('SUBSCRIBED')
    rmSync(files.credential)
    expect(JSON.stringify([logs, logic.said])).not.toMatch(/hunter2|aHVudGVyMg|Basic/)
    expect(logs.filter(({ event }) => event === 'holder.failed')).toEqual([])
  })
})
