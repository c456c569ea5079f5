import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { objectHandle, parseHandle } from '../../src/csi/object-handle.ts'
import { PluginSecrets, SECRET_CALLS } from '../../src/csi/plugin-secrets.ts'
import { csiPluginSettings, KNOWN } from '../../src/csi/plugin-settings.ts'
import { needs } from '../support/missing.ts'
import { tempDir } from '../support/temp-dir.ts'

const endpoint = 'unix:///run/plugin.sock'

describe('settings of a pool on a CSI plugin', () => {
  test('are few unless more is said', () => {
    expect(csiPluginSettings({ endpoint })).toMatchObject({
      ...{ endpoint, controllerEndpoint: endpoint, mode: 'block', sharing: 'one', fence: 'none', unitMiB: 1 },
      ...{ parameters: {}, topology: undefined },
    })
    const more = { parameters: 'type=ssd,zone=a=b', topology: 'zone=x', unitMiB: '1024', controllerEndpoint: '/c.sock' }
    expect(csiPluginSettings({ endpoint, ...more })).toMatchObject({
      ...{ controllerEndpoint: '/c.sock', parameters: { type: 'ssd', zone: 'a=b' } },
      ...{ topology: { zone: 'x' }, unitMiB: 1024 },
    })
    expect(csiPluginSettings({ endpoint, parameters: 'a=1,2\nb=3' }).parameters).toEqual({ a: '1,2', b: '3' })
  })

  test('all have a line in the documentation', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/drivers/csi.md'), 'utf8')
    for (const setting of KNOWN) expect(page).toMatch(new RegExp(`^\\| .*\`${setting}\``, 'm'))
    for (const call of SECRET_CALLS) expect(page).toContain(`\`${call}\``)
  })

  test.each([
    [{}, /needs the setting endpoint/],
    [{ endpoint: 'plugin.sock' }, /unix:\/\/\/path/],
    [{ endpoint: 'tcp://10.0.0.1:50051' }, /127\.0\.0\.1/],
    [{ endpoint, endpont: 'x' }, /did you mean endpoint/],
    [{ endpoint, mode: 'file' }, /block or mount/],
    [{ endpoint, parameters: 'ssd' }, /KEY=VALUE/],
    [{ endpoint, parameters: 'a=1,a=2' }, /twice/],
    [{ endpoint, secretsFile: 'secrets' }, /absolute path/],
    [{ endpoint, secretsFile: '/etc/../secrets' }, /absolute path/],
    [{ endpoint, stagingRoot: '/' }, /absolute path/],
    [{ endpoint, unitMiB: '0' }, /1 or more/],
    [{ endpoint, fsType: 'ext4' }, /mode=mount/],
    [{ endpoint, sharing: 'writers' }, /mode=mount/],
    [{ endpoint, sharing: 'readers', fence: 'unpublish' }, /sharing=one/],
  ])('%j is refused', (settings: Record<string, string>, message) => {
    expect(() => csiPluginSettings(settings)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
    expect(() => csiPluginSettings(settings)).toThrow(message)
  })
})

needs('root').describe('secrets for a CSI plugin', () => {
  const temp = tempDir()
  afterAll(() => temp.remove())

  function secrets(text: string, mode = 0o600): PluginSecrets {
    const file = join(temp.path, 'secrets')
    writeFileSync(file, text)
    chmodSync(file, mode)
    return new PluginSecrets(file)
  }

  test('are for all calls or for one kind, in JSON or YAML, and change with the file', async () => {
    const json = secrets('{"user": "u", "nodeStage": {"key": "k", "user": "other"}}')
    expect(await json.for('createVolume')).toEqual({ user: 'u' })
    expect(await json.for('nodeStage')).toEqual({ user: 'other', key: 'k' })
    secrets('user: v\ncreateVolume:\n  password: p')
    expect(await json.for('createVolume')).toEqual({ user: 'v', password: 'p' })
    expect(await new PluginSecrets(undefined).for('nodeStage')).toEqual({})
  })

  test('are taken out of what a plugin says', async () => {
    const own = secrets('{"password": "hunter2"}')
    await own.for('nodePublish')
    expect(own.hide('mount -o password=hunter2 failed')).toBe('mount -o password=(secret) failed')
  })

  test.each([
    ['{"a": "secret-a"}', 0o644, /mode 0600/],
    ['{"a": ', 0o600, /neither JSON nor YAML/],
    ['["secret-a"]', 0o600, /not an object/],
    ['{"a": {"b": "secret-a"}}', 0o600, /has a, which is neither/],
    ['{"a": 7}', 0o600, /has a, which is neither/],
  ])('%s with mode %o is refused, and not shown', async (text, mode, message) => {
    const error = await secrets(text, mode)
      .for('createVolume')
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'storage_failed', message: expect.stringMatching(message) })
    expect(String(error)).not.toContain('secret-a')
  })
})

test('what is no handle is none', () => {
  for (const text of [undefined, '', 'id', '\n{}', 'id\nnot json']) expect(parseHandle(text)).toBeUndefined()
  expect(objectHandle('id\n{"kind":"pool"}')).toBeUndefined()
  expect(objectHandle('id\n{"kind":"volume","sizeMiB":1,"context":{}}')).toMatchObject({ id: 'id', sizeMiB: 1 })
})
