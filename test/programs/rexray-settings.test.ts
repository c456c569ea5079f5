import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rexraySettings } from '../../src/programs/rexray-settings.ts'

describe('settings of a pool on REX-Ray', () => {
  test.each([
    ['command', '../rexray'],
    ['command', '/usr/bin/rexray'],
    ['command', 'rexray --force'],
    ['config', 'rexray.yml'],
    ['config', '/etc/../rexray.yml'],
    ['service', '--force'],
    ['grammar', '0.5'],
    ['volumes', 'block'],
    ['volumeType', '-x'],
    ['availabilityZone', 'a b'],
    ['unitGiB', '0'],
    ['maxSizeGiB', '1e3'],
    ['nameLength', '30'],
    ['callsPerSecond', '0'],
    ['concurrency', '1.5'],
    ['timeoutSeconds', '601'],
    ['fence', 'any'],
    ['password', 'secret'],
  ])('%s=%s is refused by its name', (key, value) => {
    expect(() => rexraySettings({ [key]: value })).toThrow(
      expect.objectContaining({
        code: 'invalid_option',
        data: { setting: key },
        message: expect.stringContaining(key),
      }),
    )
  })

  test.each([
    [{ grammar: '0.3', volumes: 'directory' }, 'volumes'],
    [{ grammar: '0.3', service: 'ebs' }, 'service'],
    [{ fsType: 'ext4' }, 'fsType'],
    [{ unitGiB: '8', maxSizeGiB: '4' }, 'unitGiB'],
  ])('%o do not go together', (settings, setting) => {
    expect(() => rexraySettings(settings)).toThrow(expect.objectContaining({ data: { setting } }))
  })

  test('none is needed', () => {
    expect(() => rexraySettings({})).not.toThrow()
  })

  test('each is in the table of its page', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/drivers/rexray.md'), 'utf8')
    const listed = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(() => rexraySettings({ none: '' })).toThrow(`it has ${listed.join(', ')}`)
  })
})
