import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { cliReference } from '../../src/cli/docs.ts'
import { testDir } from '../support/temp-dir.ts'
import { BIN, environment, holdfast } from './holdfast.ts'

const NOWHERE = { HOLDFAST_API: 'http://127.0.0.1:1' }

test('docs/cli.md says what the commands say', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/cli.md'), 'utf8')
  expect(page, 'write it anew: bin/holdfast __docs > docs/cli.md').toBe(await cliReference())
})

test('help names every noun and the exit codes; help of a verb names its flags', async () => {
  const [top, verb] = await Promise.all([holdfast(['--help']), holdfast(['volume', 'create', '--help'])])
  expect([top.code, top.err, verb.code]).toEqual([0, '', 0])
  for (const noun of ['pool', 'node', 'volume', 'snapshot', 'status', 'explain', 'dev'])
    expect(top.out).toContain(`  ${noun} `)
  expect(top.out).toContain('3 does not fit')
  expect(verb.out).toContain('--size <size>')
  expect(verb.out).toContain('--api <url>')
})

test.each([
  [['volume', 'lst'], "unknown command 'lst'; did you mean", 'holdfast volume --help'],
  [['volum', 'list'], "unknown command 'volum'; did you mean volume?", 'holdfast --help'],
  [
    ['volume', 'create', 'x', '--size', '1GiB', '--ipos', '3'],
    "unknown option '--ipos'; did you mean --iops?",
    'holdfast volume create --help',
  ],
  [['volume', 'create', 'x'], "required option '--size <size>' not specified", 'holdfast volume create --help'],
  [['volume', 'show'], "missing required argument 'volume'", 'holdfast volume show --help'],
  [
    ['volume', 'create', 'x', '--size', '1GiB', '--fs', 'ext5'],
    'Allowed choices are ext4, xfs, btrfs, directory, raw',
    'holdfast volume create --help',
  ],
])('%j is an error of usage with a hint', async (args, message, see) => {
  const { code, out, err } = await holdfast(args)
  expect(code).toBe(2)
  expect(out).toBe('')
  expect(err).toContain(message)
  expect(err).toMatch(new RegExp(`^holdfast: .*\n  see: ${see}\n$`))
})

test('a noun without a verb prints its help and exits with 2', async () => {
  const { code, err } = await holdfast(['volume'])
  expect(code).toBe(2)
  expect(err).toContain('Usage: holdfast volume')
})

test.each([
  '0',
  '0GiB',
  '-1GiB',
  '1e30GiB',
  'NaN',
  'NaNGiB',
  '10 parsecs',
  '10',
  '',
  '9EiB',
  '99999999999TiB',
  '1.5.2GiB',
  '0x10MiB',
])('the size %j is refused before anything is sent', async (size) => {
  const { code, err } = await holdfast(['volume', 'create', 'x', `--size=${size}`], NOWHERE)
  expect(code).toBe(2)
  expect(err).toMatch(/^holdfast: size ".*": .*; write it like 10GiB, 1\.5TiB or 500GB\n$/)
})

test.each([
  [['volume', 'create', '../x', '--size', '1GiB'], 'volume "../x": a name starts with a letter or digit'],
  [['volume', 'create', 'a\x1b[31m', '--size', '1GiB'], 'volume "a\\u001b[31m": a name starts'],
  [['pool', 'create', 'x', '--capacity', '1GiB'], 'a pool is written type~instance~pool'],
  [['pool', 'create', 'a~b~c', '--capacity', '1GiB', '--overcommit', '1.2345'], '--overcommit "1.2345": a ratio'],
  [['role', 'set', 'a//b', '--iops', '3'], 'role "a//b"'],
  [['role', 'set', 'a', '--iops', '-3'], '--iops "-3": not a whole number'],
  [['role', 'set', 'a'], 'give --size, --iops or both'],
  [['volume', 'delete', 'x', '--trash', 'soon'], '--trash "soon": write a time like'],
  [['volume', 'create', 'x', '--size', '1GiB', '--label', 'novalue'], '--label "novalue": write it like key=value'],
  [['volume', 'create', 'x', '--size', '1GiB', '--from-volume', 'a', '--from-snapshot', 'b'], 'not both'],
  [['group', 'create'], 'give a FILE'],
  [['group', 'create', '--volume', 'name=a,sise=1GiB'], 'no such key "sise"; did you mean "size"?'],
  [['group', 'create', '--volume', 'name=a'], 'has no size'],
  [['volume', 'release', 'x'], 'say --yes if you mean it'],
  [['--output', 'xml', 'version'], '--output: client.output: "xml" must be one of table, json, yaml'],
  [['--api', 'nowhere', 'version'], '--api: client.api: "nowhere" must be a URL'],
  [['--token-file', '/nonexistent', 'volume', 'list'], '/nonexistent (from --token-file)'],
])('%j is refused with exit code 2', async (args, message) => {
  const { code, err } = await holdfast(args, NOWHERE)
  expect(err).toContain(message)
  expect(code).toBe(2)
})

test('a group in a file is refused with the place of what is wrong', async () => {
  const path = join(testDir(), 'group.yaml')
  writeFileSync(path, 'volumes:\n  - {name: a, size: 1GiB}\n  - {name: b, size: 10 parsecs}\n')
  const wrong = await holdfast(['group', 'create', path], NOWHERE)
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('there is no unit "parsecs"')])
  const broken = await holdfast(['group', 'create', '-'], NOWHERE, 'volumes: [\n')
  expect([broken.code, broken.err]).toEqual([2, expect.stringMatching(/^holdfast: -:\d+:\d+: /)])
})

test('without a controller it says where it looked, why there, and how to start one, at once', async () => {
  const { code, out, err } = await holdfast(['volume', 'list'], NOWHERE)
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain('no controller at http://127.0.0.1:1 (from HOLDFAST_API): nothing listens there')
  expect(err).toContain('holdfast controller run')
  const flag = await holdfast(['--api', 'http://127.0.0.1:1', 'volume', 'list'])
  expect(flag.err).toContain('(from --api)')
})

test('what is no controller is told apart from one', async () => {
  const other = createServer((_, response) => response.writeHead(418).end('<html>')).listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  const { port } = other.address() as { port: number }
  const { code, err } = await holdfast(['volume', 'list'], { HOLDFAST_API: `http://127.0.0.1:${port}` })
  other.close()
  expect([code, err]).toEqual([
    1,
    expect.stringContaining('answered 418 without a reason; is that a Holdfast controller?'),
  ])
})

test('version prints itself for people and for programs', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
  expect((await holdfast(['version'])).out).toMatch(new RegExp(`^holdfast ${version} \\(Node \\d`))
  expect(JSON.parse((await holdfast(['version', '-o', 'json'])).out).version).toBe(version)
  expect((await holdfast(['--version'])).out).toBe(`holdfast ${version}\n`)
})

test('the description of the API is printed without a controller', async () => {
  const { code, out } = await holdfast(['openapi'], NOWHERE)
  expect(code).toBe(0)
  const document = JSON.parse(out)
  expect(document.openapi).toBe('3.1.0')
  expect(Object.keys(document.paths)).toContain('/v1/volumes')
})

test('a client command loads neither the server nor the YAML parser nor fetch', () => {
  const hook = [
    "import { registerHooks } from 'node:module'",
    'const seen = []',
    'registerHooks({ load(url, context, next) { seen.push(url); return next(url, context) } })',
    "process.on('exit', () => process._rawDebug(JSON.stringify({ seen, list: process.moduleLoadList })))",
  ].join('\n')
  const path = join(testDir(), 'hook.mjs')
  writeFileSync(path, hook)
  const env = environment({ ...NOWHERE, NODE_OPTIONS: `--import=${path}` })
  const { stderr } = spawnSync(BIN, ['volume', 'list'], { env, encoding: 'utf8' })
  const { seen, list } = JSON.parse(stderr.slice(stderr.lastIndexOf('{"seen"'))) as { seen: string[]; list: string[] }
  expect(seen.some((url) => url.endsWith('/src/cli/client.ts'))).toBe(true)
  expect(
    seen.filter((url) => /node_modules\/(?!commander\/)|\/src\/(controller|store|node|drivers)\//.test(url)),
  ).toEqual([])
  expect(list.filter((name) => /undici|sqlite|node:tls|internal\/tls/.test(name))).toEqual([])
})
