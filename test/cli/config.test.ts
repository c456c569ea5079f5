import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/cli/config.ts'
import type { HoldfastError } from '../../src/model/errors.ts'
import { testDir } from '../support/temp-dir.ts'

function file(text: string, name = 'config.yaml', dir = testDir()): string {
  const path = join(dir, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

async function refusal(text: string): Promise<{ path: string; code: string; lines: string[] }> {
  const path = file(text)
  const error = await loadConfig({ file: path, environment: {} }).then(
    () => expect.fail('it was accepted'),
    (thrown: HoldfastError) => thrown,
  )
  return { path, code: error.code, lines: error.message.split('\n') }
}

test('without anything there are the defaults', async () => {
  const { config, origin } = await loadConfig({ environment: { HOME: testDir() } })
  expect(config.client).toEqual({ api: 'http://127.0.0.1:7420', output: 'table' })
  expect(config.controller.listen).toBe('127.0.0.1:7420')
  expect(config.node.doors.docker).toMatchObject({ name: 'holdfast', socket: '/run/docker/plugins/holdfast.sock' })
  expect(origin('client.api')).toBe('the default')
})

test('flags come before the environment, that before the file, and each says where it came from', async () => {
  const path = file('client:\n  api: http://file:1\n  output: json\ncontroller:\n  state: /var/x\n')
  const flags = new Map([['client.output', { value: 'yaml', origin: '--output' }]])
  const environment = { HOLDFAST_API: 'http://environment:2', HOLDFAST_OUTPUT: 'table' }
  const { config, origin } = await loadConfig({ file: path, environment, flags })
  expect(config.client.api).toBe('http://environment:2')
  expect(config.client.output).toBe('yaml')
  expect(config.controller.state).toBe('/var/x')
  expect(['client.api', 'client.output', 'controller.state'].map(origin)).toEqual([
    'HOLDFAST_API',
    '--output',
    `${path}:5:3`,
  ])
})

test("the user's file is read from the home, and HOLDFAST_CONFIG names the only one", async () => {
  const home = testDir()
  file('client: {output: json}\n', '.config/holdfast/config.yaml', home)
  expect((await loadConfig({ environment: { HOME: home } })).config.client.output).toBe('json')
  const only = file('client: {output: yaml}\n')
  expect((await loadConfig({ environment: { HOME: home, HOLDFAST_CONFIG: only } })).config.client.output).toBe('yaml')
})

test('every kind of value can come from the environment', async () => {
  const environment = {
    HOME: testDir(),
    HOLDFAST_CONTROLLER_INSECURE: 'true',
    HOLDFAST_CONTROLLER_LEASE_SECONDS: '30',
    HOLDFAST_NODE_LABELS: 'rack=r1,zone=b=c',
    HOLDFAST_NODE_MOUNT_ROOTS: '/srv, /data',
    HOLDFAST_NODE_DOORS_DOCKER_NAME: 'disks',
  }
  const { controller, node } = (await loadConfig({ environment })).config
  expect(controller).toMatchObject({ insecure: true, leaseSeconds: 30 })
  expect(node).toMatchObject({ labels: { rack: 'r1', zone: 'b=c' }, mountRoots: ['/srv', '/data'] })
  expect(node.doors.docker).toMatchObject({ socket: '/run/docker/plugins/disks.sock' })
})

test('the CSI plugin is off until it, or any of its settings, is given', async () => {
  const csi = async (text: string, environment = {}) =>
    (await loadConfig({ file: file(text), environment })).config.node.doors.csi
  expect(await csi('')).toBe(false)
  const socket = '/run/holdfast/csi.sock'
  expect(await csi('node:\n  doors:\n    csi: true\n')).toMatchObject({ socket, roles: ['default'], mesos: false })
  expect(await csi('node:\n  doors:\n    csi:\n      mesos: true\n')).toMatchObject({ socket, mesos: true })
  expect(await csi('', { HOLDFAST_NODE_DOORS_CSI_ROLES: 'a,b' })).toMatchObject({ roles: ['a', 'b'] })
  expect(await csi('', { HOLDFAST_NODE_DOORS_CSI: 'true' })).toMatchObject({ socket })
})

test('the Docker door can be turned off by the file and by the environment', async () => {
  const off = file('node:\n  doors:\n    docker: false\n')
  expect((await loadConfig({ file: off, environment: {} })).config.node.doors.docker).toBe(false)
  const environment = { HOME: testDir(), HOLDFAST_NODE_DOORS_DOCKER: 'false' }
  expect((await loadConfig({ environment })).config.node.doors.docker).toBe(false)
})

test('everything wrong is told at once, with file, line and column, and the key that was meant', async () => {
  const { path, code, lines } = await refusal(
    'controler:\n  x: 1\ncontroller:\n  lisen: 1.2.3.4:5\n  leaseSeconds: soon\nnode:\n  doors:\n    docker: {trashHour: 1}\n',
  )
  expect(code).toBe('invalid_option')
  expect(lines).toEqual([
    `${path}:1:1: no such key "controler"; did you mean "controller"?`,
    `${path}:4:3: controller: no such key "lisen"; did you mean "listen"?`,
    `${path}:8:14: node.doors.docker: no such key "trashHour"; did you mean "trashHours"?`,
  ])
})

test('a value of the wrong kind says what it must be', async () => {
  const { path, lines } = await refusal(
    'client:\n  api: ftp://x\n  output: xml\ncontroller:\n  leaseSeconds: 0.5\n  insecure: maybe\n  listen: 7420\nnode:\n  name: "a b"\n  labels: [a]\n',
  )
  expect(lines).toEqual([
    `${path}:2:3: client.api: "ftp://x" must be a URL like http://127.0.0.1:7420`,
    `${path}:3:3: client.output: "xml" must be one of table, json, yaml`,
    `${path}:7:3: controller.listen: "7420" must be HOST:PORT`,
    `${path}:6:3: controller.insecure: "maybe" must be true or false`,
    `${path}:5:3: controller.leaseSeconds: "0.5" must be a whole number from 2 to 3600`,
    `${path}:9:3: node.name: "a b" must be a name: a letter or digit, then at most 62 letters, digits, "_", "." or "-"`,
    `${path}:10:3: node.labels: "[\\"a\\"]" must be a map of labels, like {rack: r1}`,
  ])
})

test('broken YAML, keys given twice and a list instead of a map are told with their line', async () => {
  const broken = await refusal('client:\n  api: [1,\n')
  expect(broken.lines[0]).toMatch(new RegExp(`^${broken.path}:[23]:\\d+: `))
  const twice = await refusal('client: {}\nclient: {}\n')
  expect(twice.lines[0]).toMatch(new RegExp(`^${twice.path}:2:1: .*unique`))
  const list = await refusal('- client\n')
  expect(list.lines).toEqual([`${list.path}:1:1: the file: must be a map`])
})

test('a certificate without its key is refused where it was given', async () => {
  const { path, lines } = await refusal('controller:\n  tls:\n    cert: /x.pem\n')
  expect(lines).toEqual([`${path}:3:5: controller.tls.cert: controller.tls.key is needed with it`])
})

test('a file that was asked for must be there; an empty one is fine', async () => {
  await expect(loadConfig({ file: '/nonexistent.yaml', environment: {} })).rejects.toMatchObject({ code: 'not_found' })
  expect((await loadConfig({ file: file(''), environment: {} })).config.client.output).toBe('table')
  expect((await loadConfig({ file: file('client:\n'), environment: {} })).config.client.output).toBe('table')
})
