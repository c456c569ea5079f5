import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { Authority } from '../../support/certificates.ts'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { World } from './support/provider-world.ts'
import { makeDisk, rawOffer, run, volumeIdOf } from './support/stories.ts'

const CREDENTIAL = { principal: 'holdfast', secret: 'hunter2' }

const needed = needs('root', 'loop-devices', 'unshare', 'mkfs.ext4', 'openssl')

needed.test('an agent behind TLS and a password: it is used, and what is wrong is said and tried again', async () => {
  const dir = testDir()
  const [authority, other] = [new Authority(dir), new Authority(dir, 'other')]
  const agentCredential = join(dir, 'credential')
  writeFileSync(agentCredential, JSON.stringify(CREDENTIAL))
  const locked = { certificate: authority.certificate(), credentials: [CREDENTIAL], shield: [CREDENTIAL] }
  const world = await World.start({
    machines: 1,
    agents: [locked],
    provider: { agentCredential, agentCa: authority.file },
  })
  const { agent } = world.machine(1)
  expect(agent.url).toMatch(/^https:/)
  const framework = await world.framework()
  const volume = volumeIdOf(await makeDisk(framework, agent, 'make'))
  const task = { id: 'writes', command: 'echo kept > data/f' }
  expect(await run(framework, agent, volume, task)).toMatchObject({ state: 'TASK_FINISHED' })

  /** The last thing that the provider has logged of the agent. */
  const trouble = () => {
    const lines = world
      .providerLog(1)
      .split('\n')
      .filter((line) => line.includes('"event":"agent.away"'))
    return String(JSON.parse(lines.at(-1) ?? '{}').message)
  }
  const says = (text: string) => until(() => trouble().includes(text), { what: text, deadlineMs: 15_000 })
  agent.certify(authority.expired())
  await agent.restart()
  await says(`${agent.url}/api/v1: its certificate, or its authority's, has expired`)
  agent.certify(other.certificate())
  await agent.restart()
  await says('its certificate is of an authority that is not trusted here')
  writeFileSync(agentCredential, 'holdfast hunter3')
  agent.certify(authority.certificate())
  await agent.restart()
  await says('principal and secret are missing or wrong (401)')
  const shown = async () => JSON.stringify(await world.rest.rest('GET', '/v1/mesos'))
  await until(async () => (await shown()).includes('principal and secret are missing'), {
    what: 'the status to say so',
  })
  writeFileSync(agentCredential, '{"principal": "holdfast", "secret": hunter2}')
  await says(`agent credential ${agentCredential}: it should be JSON like`)

  writeFileSync(agentCredential, JSON.stringify(CREDENTIAL))
  await rawOffer(framework, agent)
  const again = { id: 'reads', command: 'grep -q kept data/f' }
  expect(await run(framework, agent, volume, again)).toMatchObject({ state: 'TASK_FINISHED' })
  expect(world.providerLog(1)).not.toMatch(/hunter|aHVudGVy|Basic |logic\.(ended|stderr)|holder\.failed/)
  expect(world.mesos.aborts).toEqual([])
})
