import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { readSettings } from '../../src/docker-plugin/settings.ts'
import { needs } from '../support/missing.ts'
import { expectCode } from './contract.ts'
import { type DockerFixture, makeDockerFixture } from './docker-fixture.ts'

const signal = AbortSignal.timeout(1_000_000_000)
const PLUGIN = { plugin: 'rexray' }

describe('settings of the driver docker', () => {
  const wrong: [Record<string, string>, setting: string, words: RegExp][] = [
    [{}, 'plugin', /needs one of the settings plugin .* and socket/],
    [{ plugin: 'a', socket: '/run/a.sock' }, 'plugin', /not both/],
    [{ plugin: '../../etc' }, 'plugin', /the name of a plugin/],
    [{ plugin: '' }, 'plugin', /the name of a plugin/],
    [{ socket: 'a.sock' }, 'socket', /an absolute path/],
    [{ socket: '/run/../a.sock' }, 'socket', /without \. or \.\./],
    [{ ...PLUGIN, optionsFile: 'secret' }, 'optionsFile', /an absolute path/],
    [{ ...PLUGIN, creatOptions: 'a=b' }, 'creatOptions', /did you mean createOptions\?/],
    [{ ...PLUGIN, directory: '/srv' }, 'directory', /has no setting directory; it has plugin, socket/],
    [{ ...PLUGIN, createOptions: 'ssd' }, 'createOptions', /"ssd" is not KEY=VALUE/],
    [{ ...PLUGIN, createOptions: '=ssd' }, 'createOptions', /is not KEY=VALUE/],
    [{ ...PLUGIN, createOptions: 'a=b,a=c' }, 'createOptions', /has "a" twice/],
    [{ ...PLUGIN, createOptions: 'size=5', sizeOption: 'size' }, 'createOptions', /each volume has its own size/],
    [{ ...PLUGIN, sizeOption: 'the size' }, 'sizeOption', /the name of an option/],
    [{ ...PLUGIN, sizeUnit: 'MiB' }, 'sizeUnit', /needs the setting sizeOption/],
    [{ ...PLUGIN, sizeSuffix: 'G' }, 'sizeSuffix', /needs the setting sizeOption/],
    [{ ...PLUGIN, sizeOption: 'size', sizeUnit: 'GB' }, 'sizeUnit', /GiB or MiB or bytes/],
    [{ ...PLUGIN, sizeOption: 'size', sizeSuffix: ' G' }, 'sizeSuffix', /letters/],
    [{ ...PLUGIN, markerSizeMiB: '0' }, 'markerSizeMiB', /1 or more/],
    [{ ...PLUGIN, markerSizeMiB: '1e3' }, 'markerSizeMiB', /whole number/],
    [{ ...PLUGIN, sharing: 'all' }, 'sharing', /one or many/],
    [{ ...PLUGIN, requireMount: 'yes' }, 'requireMount', /false or true/],
  ]
  test.each(wrong)('%j is refused', (settings, setting, words) => {
    const read = () => readSettings(settings)
    expect(read).toThrow(words)
    expect(read).toThrow(expect.objectContaining({ code: 'invalid_option', data: { setting } }))
  })

  test('are all in the table of the page, with their defaults', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/drivers/docker.md'), 'utf8')
    const section = page.split('## Settings')[1]?.split('##')[0] ?? ''
    const rows = [...section.matchAll(/^\| `(\w+)` \|.*\| (?:`(\w+)`)?[^|]*\|$/gm)]
    const read: Record<string, unknown> = { ...readSettings(PLUGIN) }
    expect(rows.map(([, name]) => name).sort()).toEqual(Object.keys(read).sort())
    for (const [, name = '', value] of rows) {
      if (value !== undefined) expect(String(read[name])).toBe(value)
    }
  })
})

needs('root', 'mount').describe('the driver docker', () => {
  let fixture: DockerFixture
  afterEach(() => fixture?.dispose())

  async function start(settings: Record<string, string> = {}): Promise<void> {
    fixture = await makeDockerFixture({}, { markerSizeMiB: '1', ...settings })
    await fixture.driver.mark(fixture.pool, signal)
  }
  const create = (sizeMiB = 1024, pool = fixture.pool) => fixture.driver.create(pool, 'a', sizeMiB, signal)
  const told = () => fixture.plugin.created.get('a')

  const sizes: [Record<string, string>, sizeMiB: number, Record<string, string>][] = [
    [{}, 1, {}],
    [{ sizeOption: 'size' }, 20 * 1024, { size: '20' }],
    [{ sizeOption: 'size', sizeSuffix: 'G' }, 20 * 1024, { size: '20G' }],
    [{ sizeOption: 'capacity', sizeUnit: 'MiB' }, 1, { capacity: '1' }],
    [{ sizeOption: 'size', sizeUnit: 'bytes' }, 2 ** 43, { size: '9223372036854775808' }],
    [{ createOptions: 'type=ssd, tier=a=b,' }, 1, { type: 'ssd', tier: 'a=b' }],
    [{ createOptions: 'opts=a,b\ntype=ssd' }, 1, { opts: 'a,b', type: 'ssd' }],
  ]
  test.each(sizes)('with %j, Create of %i MiB is told %j', async (settings, sizeMiB, options) => {
    await start(settings)
    await create(sizeMiB)
    expect(told()).toEqual(options)
  })

  test('refuses a size that the plugin cannot be told', async () => {
    await start({ sizeOption: 'size' })
    await expectCode(create(1500), 'invalid_size')
    expect((await fixture.driver.probe(fixture.pool, signal)).capabilities.unitMiB).toBe(1024)
  })

  test('takes secrets from a file that only root can read, and tells nobody', async () => {
    await start()
    const file = join(fixture.dir, 'options.json')
    const pool = {
      ...fixture.pool,
      settings: { ...fixture.pool.settings, optionsFile: file, createOptions: 'type=ssd' },
    }
    await expect(create(1, pool)).rejects.toThrow(/cannot be read: ENOENT/)
    writeFileSync(file, '{"password":"hush"}', { mode: 0o644 })
    await expect(create(1, pool)).rejects.toThrow(/must belong to root, with mode 0600/)
    rmSync(file)
    for (const text of ['{"password":hush', '["hush"]', '{"password":["hush"]}']) {
      writeFileSync(file, text, { mode: 0o600 })
      const said = await create(1, pool).catch((thrown: Error) => thrown.message)
      expect(said).toMatch(/the optionsFile .* (is not|has password)/)
      expect(said).not.toContain('hush')
    }
    writeFileSync(file, '{"password":"hush"}')
    await create(1, pool)
    expect(told()).toEqual({ type: 'ssd', password: 'hush' })
  })

  test('finds a plugin by its name where Docker finds it', async () => {
    await start()
    const { driver, dir, plugin, pool } = fixture
    mkdirSync(join(dir, 'specs'))
    writeFileSync(join(dir, 'specs', 'array.spec'), `unix://${plugin.options.socket}\n`)
    expect(await driver.probe({ ...pool, settings: { plugin: 'array' } }, signal)).toBeDefined()
    const slip = { ...pool, settings: { plugin: 'aray' } }
    await expect(driver.probe(slip, signal)).rejects.toThrow(
      /plugin aray does not answer .*; there is a plugin "array"/,
    )
    writeFileSync(join(dir, 'specs', 'aray.spec'), 'somewhere')
    await expect(driver.probe(slip, signal)).rejects.toThrow(/"somewhere" is no address/)
  })
})
