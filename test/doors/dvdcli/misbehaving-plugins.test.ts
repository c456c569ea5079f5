import type { ChildProcess } from 'node:child_process'
import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { buildDvdcli, dvdcli, type Environment, named } from './support/run-dvdcli.ts'
import { driverWith, type Script, ScriptedPlugin } from './support/scripted-plugin.ts'

beforeAll(buildDvdcli)

/** A folder of plugins with one that follows a script, and what dvdcli does there. */
async function withPlugin(script: Script, env: Environment = {}) {
  const dir = testDir()
  const socket = join(dir, 'acme.sock')
  const plugin = new ScriptedPlugin(script)
  await plugin.listen(socket)
  onTestFinished(() => plugin.close())
  const all = { HOLDFAST_PLUGIN_SOCKETS_DIR: dir, HOLDFAST_DVDCLI_CONFIG: '', ...env }
  const run = (command: string, volume = 'db', ...more: string[]) =>
    dvdcli([command, ...named('acme', volume), ...more], all)
  return { run, plugin, socket, dir, env: all }
}

function refused(text: string, status = 500) {
  return { status, text }
}

const MOUNTED = { code: 0, stdout: '/mnt/db\n', stderr: '' }

describe('mount', () => {
  test('of a volume that is there asks for nothing but that and the mount', async () => {
    const { run, plugin } = await withPlugin(driverWith({}))
    expect(await run('mount')).toMatchObject(MOUNTED)
    expect(plugin.calls).toEqual(['Get db', 'Mount db'])
    expect(plugin.bodies).toEqual(['{"Name":"db"}', '{"Name":"db"}'])
  })

  test('of one that is not there makes it with the options', async () => {
    const { run, plugin } = await withPlugin(driverWith({}))
    expect(await run('mount', 'new', '--volumeopts=size=5,a=b=c')).toMatchObject({ code: 0, stdout: '/mnt/new\n' })
    expect(plugin.calls).toEqual(['Get new', 'Activate', 'Get new', 'Create new', 'Mount new'])
    expect(JSON.parse(plugin.bodies[3] ?? '')).toEqual({ Name: 'new', Opts: { size: '5', a: 'b=c' } })
  })

  test.each([
    ['Err with status 500', refused('{"Err":"no such volume \\"x\\" [not_found]"}')],
    ['Err with status 200', { Volume: null, Err: 'volume db not found' }],
    ['Error, as REX-Ray 0.10 has it, with quotes that break it', refused('{"Error":"get "db": no such volume"}')],
    ['plain text', refused('No such volume\n')],
    ['no Volume and no error', { Err: '' }],
    ['404, from a plugin without Get', refused('404 page not found', 404)],
  ])('takes this answer to Get for an absence: %s', async (_, answer) => {
    const { run, plugin } = await withPlugin(driverWith({ Get: answer }))
    expect(await run('mount')).toMatchObject(MOUNTED)
    expect(plugin.calls).toContain('Create db')
  })

  test.each([
    [
      'a failure',
      refused('{"Err":"the backend has\\n  no time"}'),
      /refused by driver "acme": the backend has no time$/,
    ],
    ['a failure in plain text', refused('pool not found'), /: pool not found$/],
    ['a failure without a word', refused(''), /: status 500 without a reason$/],
    ['a broken answer', { text: '{"Volume": {"Name"' }, /the answer to VolumeDriver.Get is not a JSON object/],
    ['an empty answer', { text: '' }, /the answer to VolumeDriver.Get is not a JSON object/],
    ['a list', { text: '[]' }, /the answer to VolumeDriver.Get is not a JSON object/],
    ['a Volume of another kind', { Volume: 'db' }, /has answered Get with a Volume that is no object/],
  ])('never takes %s of Get for an absence', async (_, answer, sentence) => {
    const { run, plugin } = await withPlugin(driverWith({ Get: answer }))
    const { code, stdout, stderr } = await run('mount')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr.trimEnd()).toMatch(sentence)
    expect(stderr.split('\n').length).toBe(2)
    expect(plugin.calls).not.toContain('Create db')
  })

  test('waits while the plugin says that its controller is away', async () => {
    const away = refused('{"Err":"the controller does not answer [unreachable]"}')
    const { run, plugin } = await withPlugin(
      driverWith({ Get: (times: number) => (times < 4 ? away : { Volume: {} }) }),
    )
    expect(await run('mount')).toMatchObject(MOUNTED)
    expect(plugin.calls).not.toContain('Create db')
  })

  test('makes nothing with --explicitcreate, or where the policy says so', async () => {
    const { run, plugin, dir, env } = await withPlugin(driverWith({}))
    const explicit = await run('mount', 'new', '--explicitCreate=true')
    expect(explicit.code).toBe(1)
    expect(explicit.stderr).toBe(
      'driver "acme" has no volume "new", and mount makes none because --explicitcreate was given; make it with dvdcli create\n',
    )
    const file = join(dir, 'policy.json')
    writeFileSync(file, '{"implicitCreate": false, "driver": "acme"}')
    const policy = { ...env, HOLDFAST_DVDCLI_CONFIG: file }
    const refusal = await dvdcli(['mount', '--volumename=new'], policy)
    expect(refusal).toMatchObject({ code: 1, stdout: '' })
    expect(refusal.stderr).toContain(`${file} says implicitCreate: false`)
    expect(await dvdcli(['mount', '--volumename=db'], policy)).toMatchObject(MOUNTED)
    expect(plugin.calls).not.toContain('Create new')
    const stronger = { ...policy, HOLDFAST_DVDCLI_IMPLICIT_CREATE: 'true' }
    expect((await dvdcli(['mount', '--volumename=new'], stronger)).code).toBe(0)
  })

  test('of a plugin without Get leaves it to Mount when nothing may be made', async () => {
    const { run, plugin } = await withPlugin(driverWith({ Get: refused('404 page not found', 404) }))
    expect(await run('mount', 'db', '--explicitcreate')).toMatchObject(MOUNTED)
    expect(plugin.calls).not.toContain('Create db')
  })

  test('goes on when somebody else made the volume at the same moment', async () => {
    const made = (times: number) => (times < 2 ? { Volume: null } : { Volume: { Name: 'db' } })
    const { run } = await withPlugin(driverWith({ Get: made, Create: refused('{"Err":"volume name already exists"}') }))
    expect(await run('mount')).toMatchObject(MOUNTED)
  })

  test('tells why the volume could not be made', async () => {
    const { run, plugin } = await withPlugin(driverWith({ Create: { Err: 'it does not fit [does_not_fit]' } }))
    const { code, stderr } = await run('mount', 'new')
    expect(code).toBe(1)
    expect(stderr).toBe('mount of volume "new" was refused by driver "acme": it does not fit [does_not_fit]\n')
    expect(plugin.calls).not.toContain('Mount new')
  })

  test.each([
    [{ Err: '' }],
    [{ Mountpoint: '' }],
    [{ Mountpoint: 'relative' }],
    [{ Mountpoint: '/a\nb' }],
    [{ Mountpoint: 7 }],
  ])('prints nothing for the answer %j', async (answer) => {
    const { run } = await withPlugin(driverWith({ Mount: answer }))
    const { code, stdout, stderr } = await run('mount')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^driver "acme" has answered Mount without an absolute path/)
  })
})

describe('the other commands', () => {
  test('unmount of what is not mounted, or not there, is done', async () => {
    for (const words of [
      'volume not mounted: db',
      'no such volume',
      'docker-legacy: Unmount: db: failed: resource not found',
    ]) {
      const { run } = await withPlugin(driverWith({ Unmount: refused(JSON.stringify({ Err: words })) }))
      expect(await run('unmount')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    }
    const { run } = await withPlugin(driverWith({ Unmount: refused('{"Err":"target is busy"}') }))
    expect(await run('unmount')).toMatchObject({
      code: 1,
      stderr: 'unmount of volume "db" was refused by driver "acme": target is busy\n',
    })
  })

  test('path prints what Get says, else what Path says, and nothing for what is not mounted', async () => {
    const shown = await withPlugin(driverWith({ Get: { Volume: { Name: 'db', Mountpoint: '/a' } } }))
    expect(await shown.run('path')).toMatchObject({ code: 0, stdout: '/a\n' })
    const asked = await withPlugin(driverWith({ Path: { Mountpoint: '/b' } }))
    expect(await asked.run('path')).toMatchObject({ code: 0, stdout: '/b\n' })
    const old = await withPlugin(driverWith({ Get: refused('', 404), Path: { Mountpoint: '/c' } }))
    expect(await old.run('path')).toMatchObject({ code: 0, stdout: '/c\n' })
    const nowhere = await withPlugin(driverWith({ Path: refused('{"Err":"volume not mounted: db"}') }))
    expect(await nowhere.run('path')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const broken = await withPlugin(driverWith({ Path: refused('{"Err":"the backend is away"}') }))
    expect(await broken.run('path')).toMatchObject({ code: 1, stdout: '' })
  })

  test('get, list, create and remove', async () => {
    const { run, plugin, env } = await withPlugin(driverWith({ List: { Volumes: [{ Name: 'db' }, { Name: 'x y' }] } }))
    expect(await run('get')).toMatchObject({ code: 0, stdout: 'db\n', stderr: '' })
    expect(await run('get', 'new')).toMatchObject({ code: 1, stderr: 'driver "acme" has no volume "new"\n' })
    expect(await dvdcli(['list', '--volumedriver', 'acme'], env)).toMatchObject({ code: 0, stdout: 'db\nx y\n' })
    expect(await run('create', 'new', '--volumeopts=a=1')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(plugin.bodies.at(-1)).toBe('{"Name":"new","Opts":{"a":"1"}}')
    expect(await run('remove')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(plugin.calls.at(-1)).toBe('Remove db')
    expect(await run('remove', 'new')).toMatchObject({ code: 1 })
    expect(plugin.calls).not.toContain('Remove new')
  })

  test('of a plugin that is no volume driver say so', async () => {
    const { run } = await withPlugin(driverWith({ Activate: { Implements: ['NetworkDriver'] }, Get: refused('', 404) }))
    for (const command of ['mount', 'unmount', 'get']) {
      expect(await run(command)).toMatchObject({ code: 1, stderr: 'plugin "acme" is no volume driver\n' })
    }
  })
})

describe('a plugin that is away', () => {
  test('is waited for through its restart', async () => {
    const dir = testDir()
    const socket = join(dir, 'acme.sock')
    let connections = 0
    const dying = createServer((connection) => {
      connections += 1
      connection.on('error', () => undefined).destroy()
    })
    await new Promise<void>((ready) => dying.listen(socket, ready))
    const mounting = dvdcli(['mount', ...named('acme', 'db')], { HOLDFAST_PLUGIN_SOCKETS_DIR: dir })
    await until(() => connections >= 3, { what: 'dvdcli to try again' })
    await new Promise((closed) => dying.close(closed))
    const plugin = new ScriptedPlugin(driverWith({}))
    onTestFinished(() => plugin.close())
    await plugin.listen(socket)
    expect(await mounting).toMatchObject(MOUNTED)
  })

  test('is given up after a time, with what was looked for', async () => {
    const { env, dir } = await withPlugin(driverWith({}), { HOLDFAST_DVDCLI_WAIT_SECONDS: '0.1' })
    const { code, stderr } = await dvdcli(['mount', ...named('acmee', 'db')], env)
    expect(code).toBe(1)
    expect(stderr).toBe(
      `there is no driver "acmee": no socket in ${dir}, nothing in /nowhere; did you mean "acme"? (waited 0.1 s)\n`,
    )
  })

  test('whose socket is left over says who does not answer', async () => {
    const { env, dir } = await withPlugin(driverWith({}), { HOLDFAST_DVDCLI_WAIT_SECONDS: '0.1' })
    const stale = join(dir, 'stale.sock')
    const left = createServer()
    await new Promise<void>((ready) => left.listen({ path: stale }, ready))
    // the kernel keeps the file of a socket whose owner is gone
    const gone = join(dir, 'gone.sock')
    linkSync(stale, gone)
    await new Promise((closed) => left.close(closed))
    const { code, stderr } = await dvdcli(['mount', ...named('gone', 'db')], env)
    expect(code).toBe(1)
    expect(stderr).toBe(`driver "gone" does not answer at ${gone}: ECONNREFUSED (waited 0.1 s)\n`)
  })

  test('in the middle of a call is asked again when it is back', async () => {
    for (const call of ['Get', 'Mount']) {
      for (const step of ['cut', 'half'] as const) {
        const back = call === 'Get' ? { Volume: { Name: 'db' } } : { Mountpoint: '/mnt/db' }
        const { run, plugin } = await withPlugin(driverWith({ [call]: (times: number) => (times === 0 ? step : back) }))
        expect(await run('mount')).toMatchObject(MOUNTED)
        expect(plugin.calls.filter((each) => each === `${call} db`).length).toBe(2)
      }
    }
    const { run } = await withPlugin(driverWith({ Unmount: (times: number) => (times === 0 ? 'cut' : { Err: '' }) }))
    expect((await run('unmount')).code).toBe(0)
  })

  test('in the middle of Create is not asked again: nobody knows what was done', async () => {
    const { run, plugin } = await withPlugin(driverWith({ Create: 'cut' }))
    const { code, stderr } = await run('create', 'new')
    expect(code).toBe(1)
    expect(stderr).toMatch(/in the middle of VolumeDriver.Create; whether that was done is not known\n$/)
    expect(plugin.calls.filter((each) => each === 'Create new').length).toBe(1)
  })

  test('whenever it is asked is given up', async () => {
    const { run, plugin } = await withPlugin(driverWith({ Mount: 'cut' }), { HOLDFAST_DVDCLI_WAIT_SECONDS: '0.02' })
    const { code, stderr } = await run('mount')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^driver "acme" does not answer at .*\/acme\.sock: the connection was closed/)
    expect(plugin.calls.filter((each) => each === 'Mount db').length).toBeLessThan(20)
  })

  test('that hangs is told of at the deadline', async () => {
    const env = { HOLDFAST_DVDCLI_TIMEOUT_SECONDS: '0.4' }
    const { run } = await withPlugin(driverWith({ Mount: 'hang' }), env)
    const { code, stdout, stderr } = await run('mount')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toBe('mount db: waited 0.4 s for VolumeDriver.Mount of driver acme\n')
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('and %s ends it at once, with a sentence', async (signal) => {
    const { plugin, env } = await withPlugin(driverWith({ Mount: 'hang' }))
    let child: ChildProcess | undefined
    const running = dvdcli(['mount', ...named('acme', 'db')], env, (process) => {
      child = process
    })
    await until(() => plugin.calls.includes('Mount db'), { what: 'the mount to begin' })
    child?.kill(signal)
    expect(await running).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `ended by ${signal} while waiting for VolumeDriver.Mount of driver acme\n`,
    })
  })

  test('that speaks something else than HTTP is told of', async () => {
    const dir = testDir()
    const socket = join(dir, 'ssh.sock')
    const server = createServer((connection) => connection.on('error', () => undefined).end('SSH-2.0-OpenSSH_9.2\r\n'))
    await new Promise<void>((ready) => server.listen(socket, ready))
    onTestFinished(() => void server.close())
    const run = await dvdcli(['mount', ...named('ssh', 'db')], { HOLDFAST_PLUGIN_SOCKETS_DIR: dir })
    expect(run).toMatchObject({ code: 1, stderr: `${socket} does not speak HTTP\n` })
  })
})

describe('the command line', () => {
  test('that is wrong has exit code 2, and asks nobody', async () => {
    const { env, plugin } = await withPlugin(driverWith({}))
    const wrong: [string[], string][] = [
      [['mout', ...named('acme', 'db')], 'there is no command "mout"; did you mean mount?\n'],
      [
        ['mount', '--volumename=db'],
        'mount: name the driver with --volumedriver, or "driver" in /etc/holdfast/dvdcli.json\n',
      ],
      [['mount', ...named('rexray/ebs', 'db')], expect.stringContaining('managed plugins are not reached') as string],
    ]
    for (const [args, stderr] of wrong) expect(await dvdcli(args, env)).toMatchObject({ code: 2, stdout: '', stderr })
    const broken = await dvdcli(['mount', ...named('acme', 'db')], { ...env, HOLDFAST_DVDCLI_CONFIG: '/nowhere' })
    expect(broken).toMatchObject({ code: 2, stderr: expect.stringContaining('/nowhere cannot be read') })
    expect(plugin.calls).toEqual([])
  })

  test('help and version are for stdout', async () => {
    const help = await dvdcli(['mount', '--help'], {})
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toContain('--explicitcreate')
    const { stdout, code } = await dvdcli(['version'], {})
    expect(code).toBe(0)
    const keys = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(': ')[0])
    expect(keys).toEqual(['Binary', 'SemVer', 'OsArch', 'Branch', 'Commit', 'Formed'])
    expect(stdout).toMatch(/^Binary: \/.*\/bin\/dvdcli\nSemVer: \d+\.\d+\.\d+\nOsArch: Linux-\w+\n/)
  })

  test('a list of ten thousand volumes comes through a pipe complete', async () => {
    const Volumes = Array.from({ length: 10_000 }, (_, index) => ({ Name: `volume-${index}` }))
    const { env } = await withPlugin(driverWith({ List: { Volumes } }))
    const { stdout } = await dvdcli(['list', '--volumedriver=acme'], env)
    expect(stdout.split('\n').length).toBe(10_001)
  })
})

describe('a specification', () => {
  test('in a folder of its own is found, a socket comes first, and what is no socket does not count', async () => {
    const { socket, dir, env, plugin } = await withPlugin(driverWith({}))
    const specs = join(dir, 'specs')
    mkdirSync(join(specs, 'far'), { recursive: true })
    writeFileSync(join(specs, 'far', 'far.spec'), `unix://${socket}\n`)
    writeFileSync(join(specs, 'acme.spec'), 'tcp://127.0.0.1:1')
    writeFileSync(join(dir, 'far.sock'), '')
    const all = { ...env, HOLDFAST_PLUGIN_SPECS_DIRS: `/nowhere:${specs}` }
    expect(await dvdcli(['mount', ...named('far', 'db')], all)).toMatchObject(MOUNTED)
    expect(await dvdcli(['mount', ...named('acme', 'db')], all)).toMatchObject(MOUNTED)
    expect(plugin.calls.length).toBe(4)
  })
})
