import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Detection, detectMaster, type MasterDetector } from '../../src/mesos/detector.ts'
import { MesosHttp, type MesosHttpOptions } from '../../src/mesos/http.ts'
import { JuteWriter } from '../../src/mesos/jute.ts'
import { parseMasterSpec } from '../../src/mesos/master-spec.ts'
import { systemClock } from '../../src/runtime/system-clock.ts'
import { needs } from '../support/missing.ts'
import { tempDir, testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { leads, plain, redirects, SmallServer } from './master-server.ts'
import { ZOOKEEPER_NEEDS, ZooKeeperServers, ZooKeeperWriter } from './zookeeper-server.ts'

interface Watched {
  readonly detector: MasterDetector
  readonly told: Detection[]
  /** The newest word. */
  last(): Detection | undefined
}

function watch(spec: string, options: MesosHttpOptions = {}): Watched {
  const http = new MesosHttp({ timeoutMs: 2000, ...options })
  const told: Detection[] = []
  const detector = detectMaster(spec, { clock: systemClock, http, onChange: (detection) => told.push(detection) })
  onTestFinished(async () => {
    await detector.close()
    await http.close()
  })
  return { detector, told, last: () => told.at(-1) }
}

const leadsNow = (watched: Watched, id: string) =>
  until(() => watched.last()?.master?.id === id, { what: `master ${id}`, deadlineMs: 20_000 })
const problem = (watched: Watched, says: string | RegExp) =>
  until(() => watched.last()?.problem?.message.match(says), { what: `a problem: ${says}`, deadlineMs: 20_000 })

describe('where to look', () => {
  test.each<[string, object]>([
    ['zk://h1/mesos', { kind: 'zookeeper', servers: [{ host: 'h1', port: 2181 }], path: '/mesos' }],
    [
      'zk://mesos:a@b:c@h1:2182,[::1]:2183/a/b',
      {
        kind: 'zookeeper',
        servers: [
          { host: 'h1', port: 2182 },
          { host: '::1', port: 2183 },
        ],
        path: '/a/b',
        auth: 'mesos:a@b:c',
      },
    ],
    ['http://m1', { kind: 'masters', urls: ['http://m1:5050'] }],
    ['https://m1:443, http://m2:80/', { kind: 'masters', urls: ['https://m1:443', 'http://m2:80'] }],
    ['http://m1:5050,http://m1', { kind: 'masters', urls: ['http://m1:5050'] }],
  ])('%s', (text, spec) => {
    expect(parseMasterSpec(text)).toEqual(spec)
  })

  test.each([
    ['zk://h1', 'has no path'],
    ['zk://h1/', 'is none of ZooKeeper'],
    ['zk://h1/a//b', 'is none of ZooKeeper'],
    ['zk://h1:0/mesos', '"h1:0" is no host and port'],
    ['zk://h1:99999/mesos', 'is no host and port'],
    ['zk://h1,/mesos', '"" is no host and port'],
    ['zk://user@h1/mesos', 'should be user:password'],
    ['m1:5050', 'is no http(s) address'],
    ['ftp://m1', 'is no http(s) address'],
    ['http://m1:5050/api', 'should end at its port'],
    ['http://u:secret@m1', 'credentials belong into their own setting'],
    ['', 'is no http(s) address'],
  ])('%s is refused', (text, says) => {
    expect(() => parseMasterSpec(text)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
    expect(() => parseMasterSpec(text)).toThrow(says)
  })

  test('a password is never shown', () => {
    for (const text of ['zk://u:secret@h1', 'zk://u:secret@h1:x/mesos', 'ftp://u:secret@h', 'http://u:secret@h']) {
      expect(() => parseMasterSpec(text)).not.toThrow('secret')
      expect(() => parseMasterSpec(text)).toThrow()
    }
  })
})

describe('a list of masters', () => {
  test('the one that leads is found behind others that are away, refuse or redirect', async () => {
    const leader = await SmallServer.start(leads('m-3'))
    const follower = await SmallServer.start(redirects(`//127.0.0.1:${leader.port}/api/v1`))
    const watched = watch(`http://127.0.0.1:1,${follower.url}`)
    await leadsNow(watched, 'm-3')
    expect(watched.last()?.master).toEqual({ url: leader.url, id: 'm-3', hostname: 'localhost', version: '1.11.0' })
    expect(watched.detector.url).toBe(leader.url)
  })

  test('credentials go along', async () => {
    const leader = await SmallServer.start(leads('m-1'))
    const watched = watch(leader.url, { credentials: { principal: 'ops', secret: 'pass' } })
    await leadsNow(watched, 'm-1')
    expect(leader.heard[0]).toEqual({ type: 'GET_MASTER', authorization: `Basic ${btoa('ops:pass')}` })
  })

  test('a change is told once, when somebody asks to look again', async () => {
    const master = await SmallServer.start(leads('m-1'))
    const watched = watch(master.url)
    await leadsNow(watched, 'm-1')
    watched.detector.recheck()
    await until(() => master.heard.length >= 2, { what: 'the second look' })
    master.answer = leads('m-2')
    watched.detector.recheck()
    await leadsNow(watched, 'm-2')
    expect(watched.told.map(({ master: found }) => found?.id)).toEqual(['m-1', 'm-2'])
  })

  test('a master that recovers is asked again until it leads', async () => {
    const master = await SmallServer.start((_call, response) => plain(response, 503, 'Master has not recovered'))
    const watched = watch(master.url)
    await problem(watched, /answers GET_MASTER with 503: "Master has not recovered"/)
    master.answer = leads('m-1')
    await leadsNow(watched, 'm-1')
    expect(watched.told).toHaveLength(2)
  })

  test('wrong credentials are said to be refused', async () => {
    const master = await SmallServer.start((_call, response) => plain(response, 401, ''))
    const watched = watch(master.url)
    await problem(watched, 'with 401')
    expect(watched.last()?.problem?.code).toBe('mesos_refused')
  })

  test('two that send on to each other are a loop', async () => {
    const a = await SmallServer.start(() => undefined)
    const b = await SmallServer.start(redirects(`//127.0.0.1:${a.port}`))
    a.answer = redirects(`//127.0.0.1:${b.port}/x`)
    const watched = watch(a.url)
    await problem(watched, `sends on to ${a.url}, which has sent on to it`)
  })

  test('a chain without end is left', async () => {
    const last = await SmallServer.start(leads('m-1'))
    let next = last
    for (let count = 0; count < 6; count += 1) next = await SmallServer.start(redirects(`//127.0.0.1:${next.port}`))
    await problem(watch(next.url), 'sent on more than 5 times')
  })

  test.each([
    ['nowhere', (response: Parameters<typeof plain>[0]) => response.writeHead(307).end(), 'sends on to nowhere'],
    [
      'another scheme',
      (response: Parameters<typeof plain>[0]) => response.writeHead(307, { location: 'https://127.0.0.1:1/' }).end(),
      'another scheme',
    ],
    ['a page', (response: Parameters<typeof plain>[0]) => plain(response, 200, '<html>'), 'not JSON'],
    ['other JSON', (response: Parameters<typeof plain>[0]) => plain(response, 200, '{"type":"X"}'), 'something else'],
    [
      'nobody',
      (response: Parameters<typeof plain>[0]) => plain(response, 200, '{"type":"GET_MASTER"}'),
      'without a master_info',
    ],
  ])('an answer that leads to %s is no master', async (_what, act, says) => {
    const master = await SmallServer.start((_call, response) => act(response))
    const watched = watch(master.url)
    await problem(watched, says)
    expect(watched.last()?.problem?.code).toBe('mesos_protocol')
  })

  test('close ends at once, also while a master hangs', async () => {
    const master = await SmallServer.start(() => undefined)
    const { detector } = watch(master.url)
    await until(() => master.heard.length === 1, { what: 'the call' })
    const start = performance.now()
    await detector.close()
    expect(performance.now() - start).toBeLessThan(1000)
  })
})

needs('openssl').test('masters behind TLS are found with their authority, and refused without it', async () => {
  const dir = testDir()
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject],
    { stdio: 'ignore' },
  )
  const [ca, secret] = [readFileSync(cert, 'utf8'), readFileSync(key, 'utf8')]
  const master = await SmallServer.start(leads('m-tls'), { key: secret, cert: ca })
  const known = watch(master.url, { ca })
  await leadsNow(known, 'm-tls')
  expect(known.detector.url).toMatch(/^https:/)
  const stranger = watch(master.url)
  await problem(stranger, /certificate/)
  const follower = await SmallServer.start(redirects(`http://127.0.0.1:1/`), { key: secret, cert: ca })
  await problem(watch(follower.url, { ca }), 'sends on to another scheme')
})

test('a ZooKeeper that cries change without end is not asked without end', async () => {
  const change = new JuteWriter().int(-1).long(-1n).int(0).int(4).int(3).string('/mesos').frame()
  const hello = new JuteWriter().int(0).int(4000).long(1n).buffer(Buffer.alloc(16)).bool(false).frame()
  let asked = 0
  const server = createServer((socket) => {
    let count = 0
    socket.on('error', () => undefined)
    socket.on('data', () => {
      asked += 1
      const nobody = new JuteWriter().int(count).long(1n).int(0).int(0).frame()
      socket.write(count === 0 ? hello : Buffer.concat([change, nobody, change]))
      count += 1
    })
    onTestFinished(() => void socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const start = performance.now()
  await problem(watch(`zk://127.0.0.1:${address.port}/mesos`), 'no master stands')
  await until(() => asked >= 5, { what: 'a few looks' })
  expect((asked - 2) * 100).toBeLessThanOrEqual(performance.now() - start)
})

needs(...ZOOKEEPER_NEEDS).describe('an election in a real ZooKeeper', () => {
  const dir = tempDir()
  let servers: ZooKeeperServers
  let paths = 0

  beforeAll(async () => {
    servers = await ZooKeeperServers.start(dir.path)
  })
  afterAll(async () => {
    await servers?.stop()
    dir.remove()
  })

  async function writer(): Promise<ZooKeeperWriter> {
    const client = await ZooKeeperWriter.open(servers.ports[0] as number)
    onTestFinished(() => client.close())
    return client
  }

  /** A new path for each test. */
  async function election(): Promise<{ path: string; spec: string }> {
    paths += 1
    const path = `/mesos-${paths}`
    const client = await writer()
    await client.create(path)
    return { path, spec: `zk://${servers.addresses}${path}` }
  }

  const masterInfo = ({ port }: SmallServer, id: string) =>
    JSON.stringify({ id, port, hostname: 'unresolvable.invalid', address: { ip: '127.0.0.1', port } })

  test('the lowest sequence leads, and the next one when it goes', async () => {
    const { path, spec } = await election()
    const [one, two] = [await SmallServer.start(leads('m-1')), await SmallServer.start(leads('m-2'))]
    const [first, second] = [await writer(), await writer()]
    await (await writer()).create(`${path}/log_replicas`)
    const watched = watch(spec)
    await problem(watched, 'no master stands for election')
    await first.stand(path, masterInfo(one, 'm-1'))
    await second.stand(path, masterInfo(two, 'm-2'))
    await leadsNow(watched, 'm-1')
    expect(watched.last()?.master?.url).toBe(one.url)
    await first.close()
    await leadsNow(watched, 'm-2')
    await second.close()
    two.answer = (_call, response) => plain(response, 503, 'not leading')
    await problem(watched, 'no master stands for election')
  })

  test('who stands first and does not answer is no master until it does', async () => {
    const { path, spec } = await election()
    const master = await SmallServer.start((_call, response) => plain(response, 503, 'recovering'))
    await (await writer()).stand(path, masterInfo(master, 'm-1'))
    const watched = watch(spec)
    await problem(watched, 'recovering')
    master.answer = leads('m-1')
    await leadsNow(watched, 'm-1')
  })

  test.each([
    ['no JSON', '\u0001\u0002', 'is no MasterInfo: it is no JSON object'],
    ['a list', '[]', 'it is no JSON object'],
    ['no id', '{"port":5050,"hostname":"m1"}', 'it has no id'],
    ['no port', '{"id":"a","hostname":"m1"}', 'its port is undefined'],
    ['a mad port', '{"id":"a","hostname":"m1","port":70000}', 'its port is 70000'],
    ['no place', '{"id":"a","port":5050,"ip":16777343}', 'neither an IP address nor a host name'],
    ['a place that is none', '{"id":"a","port":5050,"hostname":"m1/x?y"}', 'neither an IP address nor a host name'],
  ])('data that has %s is no master', async (_what, data, says) => {
    const { path, spec } = await election()
    await (await writer()).stand(path, data)
    const watched = watch(spec)
    await problem(watched, says)
    expect(watched.last()?.problem).toMatchObject({ code: 'mesos_protocol' })
    expect(watched.last()?.problem?.message).toContain(`${path}/json.info_0000000000 of ZooKeeper at`)
  })

  test('a path that is not there is waited for', async () => {
    const watched = watch(`zk://${servers.addresses}/later`)
    await problem(watched, 'there is no such node')
    const client = await writer()
    await client.create('/later')
    const master = await SmallServer.start(leads('m-1'))
    await client.stand('/later', masterInfo(master, 'm-1'))
    await leadsNow(watched, 'm-1')
  })

  test('while ZooKeeper is away, the master stays as long as it says that it leads', async () => {
    const { path, spec } = await election()
    const master = await SmallServer.start(leads('m-1'))
    await (await ZooKeeperWriter.open(servers.ports[0] as number)).stand(path, masterInfo(master, 'm-1'))
    const watched = watch(spec)
    await leadsNow(watched, 'm-1')
    const asked = master.heard.length
    await servers.kill(0)
    await until(() => master.heard.length > asked, { what: 'the master to be asked again' })
    expect(watched.told).toHaveLength(1)
    master.answer = (_call, response) => plain(response, 503, 'no longer')
    watched.detector.recheck()
    await problem(watched, 'ECONNREFUSED')
    master.answer = leads('m-1')
    servers.launch(0)
    await servers.ready(0)
    // the session that stood for election has been dead for longer than its time by now, or will be soon
    const next = await writer()
    await next.stand(path, masterInfo(master, 'm-1'))
    await leadsNow(watched, 'm-1')
  })
})
