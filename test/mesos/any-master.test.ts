import { describe, expect, onTestFinished, test } from 'vitest'
import { askMaster, flagsOfMaster, isSameMaster } from '../../src/mesos/any-master.ts'
import { MesosHttp } from '../../src/mesos/http.ts'
import { startMesos } from '../support/mesos/cluster.ts'
import { testDir } from '../support/temp-dir.ts'
import { json, leads, plain, redirects, SmallServer } from './master-server.ts'

function http(): MesosHttp {
  const client = new MesosHttp({ timeoutMs: 2000 })
  onTestFinished(() => client.close())
  return client
}

describe('a master that does not lead', () => {
  test('tells its own flags, though its operator API sends on to the one that does', async () => {
    const options = { workDir: testDir(), agents: [] }
    const [first, second] = [
      await startMesos(options),
      await startMesos({ ...options, acls: {}, leading: 'http://m1:5050' }),
    ]
    onTestFinished(() => Promise.all([first.stop(), second.stop()]).then(() => undefined))
    expect((await flagsOfMaster(http(), second.master.url)).has('acls')).toBe(true)
    expect((await flagsOfMaster(http(), first.master.url)).has('acls')).toBe(false)
  })

  test.each<[string, number, string, RegExp]>([
    ['wants other credentials', 401, '', /principal and secret are missing or wrong/],
    ['lets nobody view flags', 403, '', /may not view flags/],
    ['has no such endpoint', 404, 'nothing', /answers 404: "nothing"/],
    ['answers with a page', 200, '<html>', /answers with no flags/],
    ['answers with something else', 200, '{"flags":[]}', /answers with no flags/],
  ])('or %s, which is told', async (_what, status, text, says) => {
    const master = await SmallServer.start((_call, response) => plain(response, status, text))
    await expect(flagsOfMaster(http(), master.url)).rejects.toThrow(says)
  })
})

test('a master is asked at the first of its addresses that answers', async () => {
  const master = await SmallServer.start((_call, response) => json(response, { flags: { port: '5050' } }))
  const found = await askMaster(http(), ['http://127.0.0.1:1', master.url])
  expect(found).toEqual({ url: master.url, flags: new Map([['port', '5050']]) })
  expect(await askMaster(http(), ['http://127.0.0.1:1'])).toMatchObject({
    trouble: expect.stringContaining('127.0.0.1:1'),
  })
})

test('one master under two names is known by its id', async () => {
  const master = await SmallServer.start(leads('m-1'))
  const follower = await SmallServer.start(redirects(master.url))
  expect(await isSameMaster(http(), [master.url], 'm-1')).toBe(true)
  expect(await isSameMaster(http(), [master.url], 'm-2')).toBe(false)
  // it sends on to the leader, and is another one
  expect(await isSameMaster(http(), [follower.url], 'm-1')).toBe(false)
  expect(await isSameMaster(http(), ['http://127.0.0.1:1'], 'm-1')).toBe(false)
})
