import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readSettings } from '../../../src/doors/dvdcli/settings.ts'
import { testDir } from '../../support/temp-dir.ts'

function withFile(content: string): Record<string, string> {
  const file = join(testDir(), 'dvdcli.json')
  writeFileSync(file, content)
  return { HOLDFAST_DVDCLI_CONFIG: file }
}

const ALL = { driver: 'rexray', implicitCreate: false, timeoutSeconds: 30, waitSeconds: 0.5, absentWords: ['nix da'] }

describe('settings', () => {
  test('without a file are those of the original', () => {
    expect(readSettings({})).toMatchObject({
      driver: '',
      implicitCreate: true,
      timeoutMs: undefined,
      waitMs: 15_000,
      directories: { sockets: '/run/docker/plugins', specs: ['/etc/docker/plugins', '/usr/lib/docker/plugins'] },
      file: '/etc/holdfast/dvdcli.json',
    })
  })

  test('come from the file, and the environment is stronger', () => {
    const env = withFile(JSON.stringify(ALL))
    const fromFile = {
      driver: 'rexray',
      implicitCreate: false,
      timeoutMs: 30_000,
      waitMs: 500,
      absentWords: ['nix da'],
    }
    expect(readSettings(env)).toMatchObject(fromFile)
    const stronger = {
      HOLDFAST_DVDCLI_DRIVER: 'holdfast',
      HOLDFAST_DVDCLI_IMPLICIT_CREATE: 'true',
      HOLDFAST_DVDCLI_TIMEOUT_SECONDS: '0.5',
      HOLDFAST_DVDCLI_WAIT_SECONDS: '0',
      HOLDFAST_PLUGIN_SOCKETS_DIR: '/s',
      HOLDFAST_PLUGIN_SPECS_DIRS: '/a:/b',
    }
    expect(readSettings({ ...env, ...stronger })).toMatchObject({
      driver: 'holdfast',
      implicitCreate: true,
      timeoutMs: 500,
      waitMs: 0,
      directories: { sockets: '/s', specs: ['/a', '/b'] },
    })
    expect(readSettings({ ...env, HOLDFAST_DVDCLI_IMPLICIT_CREATE: '' })).toMatchObject(fromFile)
  })

  test.each([
    ['{"implicitcreate": false}', /there is no setting "implicitcreate"; did you mean "implicitCreate"\?/],
    ['{"implicitCreate": "false"}', /"implicitCreate" must be true or false/],
    ['{"timeoutSeconds": 0}', /"timeoutSeconds" must be a number of seconds above 0/],
    ['{"timeoutSeconds": 1e9}', /"timeoutSeconds" must be/],
    ['{"waitSeconds": -1}', /"waitSeconds" must be/],
    ['{"driver": 1}', /"driver" must be a text/],
    ['{"absentWords": [""]}', /"absentWords" must be a list of texts/],
    ['{"toString": 1}', /there is no setting "toString"/],
    ['[]', /write a JSON object/],
    ['null', /write a JSON object/],
    ['{implicitCreate: false}', /is not JSON/],
    ['', /is not JSON/],
  ])('the file %s is refused, not passed over', (content, sentence) => {
    expect(() => readSettings(withFile(content))).toThrow(sentence)
  })

  test.each([
    ['HOLDFAST_DVDCLI_IMPLICIT_CREATE', 'no', /it must be true or false/],
    ['HOLDFAST_DVDCLI_TIMEOUT_SECONDS', 'soon', /it must be a number of seconds above 0/],
    ['HOLDFAST_DVDCLI_WAIT_SECONDS', '-1', /it must be a number of seconds, 0 or more/],
  ])('%s=%s is refused', (variable, value, sentence) => {
    expect(() => readSettings({ [variable]: value })).toThrow(sentence)
  })

  test('a file that was named must be there', () => {
    expect(() => readSettings({ HOLDFAST_DVDCLI_CONFIG: '/nowhere/x.json' })).toThrow(/cannot be read/)
  })
})
