import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BadSpecification, locate } from '../../src/docker-plugin/discovery.ts'
import { testDir } from '../support/temp-dir.ts'

/** A folder of specifications. */
function specsOf(files: Readonly<Record<string, string>>): string {
  const dir = testDir()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(dir, name, '..'), { recursive: true })
    writeFileSync(join(dir, name), content)
  }
  return dir
}

function found(name: string, ...folders: string[]): unknown {
  return locate(name, { sockets: '/nowhere', specs: folders })
}

describe('where a plugin listens', () => {
  test.each([
    ['unix:///run/a%20b.sock', { kind: 'unix', path: '/run/a b.sock' }],
    ['tcp://localhost:8080', { kind: 'tcp', host: 'localhost', port: 8080 }],
    ['tcp://[::1]:8080\n', { kind: 'tcp', host: '::1', port: 8080 }],
    ['http://plugin.example/ignored', { kind: 'tcp', host: 'plugin.example', port: 80 }],
    ['https://plugin.example:444', { kind: 'tls', host: 'plugin.example', port: 444, tls: { insecure: true } }],
  ])('%s', (address, endpoint) => {
    expect(found('x', specsOf({ 'x.spec': address }))).toEqual(endpoint)
  })

  test('the order is that of Docker: .spec, a folder of its own, .json, then the next folder', () => {
    const of = (port: number) => ({ kind: 'tcp', host: 'h', port })
    const json = (port: number) => JSON.stringify({ Name: 'x', Addr: `tcp://h:${port}` })
    const files = { 'x/x.spec': 'tcp://h:2', 'x.json': json(3), 'x/x.json': json(4) }
    expect(found('x', specsOf({ ...files, 'x.spec': 'tcp://h:1' }))).toEqual(of(1))
    expect(found('x', specsOf(files))).toEqual(of(2))
    expect(found('x', specsOf({ 'x.json': json(3), 'x/x.json': json(4) }))).toEqual(of(3))
    expect(found('x', specsOf({}), specsOf({ 'x/x.json': json(4) }))).toEqual(of(4))
    expect(found('x', specsOf({}), '/nowhere')).toBeUndefined()
  })

  test.each([
    ['x.spec', '', /is no address/],
    ['x.spec', 'here', /"here" is no address; write unix:/],
    ['x.spec', 'tcp://localhost', /is no address/],
    ['x.spec', 'ftp://h:1', /is no address/],
    ['x.json', '{', /is not JSON/],
    ['x.json', 'null', /has no "Addr"/],
    ['x.json', '{"Addr": 1}', /has no "Addr"/],
    ['x.json', '{"Addr": "https://h", "TLSConfig": {"CAFile": "/nowhere"}}', /CAFile cannot be read/],
    ['x.json', '{"Addr": "https://h", "TLSConfig": {"CAFile": 1}}', /CAFile must be the path/],
  ])('%s with %j is refused, with its name', (name, content, sentence) => {
    const dir = specsOf({ [name]: content })
    expect(() => found('x', dir)).toThrow(BadSpecification)
    expect(() => found('x', dir)).toThrow(sentence)
    expect(() => found('x', dir)).toThrow(join(dir, name))
  })
})
