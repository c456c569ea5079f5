import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  accessName,
  accessOf,
  initiatorName,
  iscsiSettings,
  isSameNode,
  objectOfTarget,
  targetName,
} from '../../src/programs/iscsi-settings.ts'

const LEAST = { portal: '10.0.0.1:3260', directory: '/srv/pool' }
const POOL = '2f1d0c6e-1111-4222-8333-444455556666'

describe('settings of a pool on an iSCSI target', () => {
  test.each([
    ['portal', '10.0.0.1'],
    ['portal', '10.0.0.1:0'],
    ['portal', '10.0.0.1:65536'],
    ['portal', '::1:3260'],
    ['portal', '[10.0.0.1]:3260'],
    ['portal', 'host,tgt:3260'],
    ['directory', 'srv/pool'],
    ['directory', '/srv/../pool'],
    ['directory', '/srv/pool/'],
    ['directory', '/srv/a,readonly=0'],
    ['directory', '/srv/my pool'],
    ['control', '/var/run/tgtd/socket'],
    ['control', 'socket.0'],
    ['patience', '-1'],
    ['patience', '1.5'],
    ['patience', '86401'],
    ['initiator', 'kernel'],
    ['password', 'secret'],
  ])('%s=%s is refused by its name', (key, value) => {
    expect(() => iscsiSettings({ ...LEAST, [key]: value })).toThrow(
      expect.objectContaining({
        ...{ code: 'invalid_option', data: { setting: key } },
        message: expect.stringContaining(key),
      }),
    )
  })

  test.each(['portal', 'directory'])('%s is needed', (key) => {
    const { [key]: _, ...rest } = LEAST as Record<string, string>
    expect(() => iscsiSettings(rest)).toThrow(expect.objectContaining({ data: { setting: key } }))
  })

  test('the rest has defaults; a patience of 0 is without end', () => {
    expect(iscsiSettings(LEAST)).toEqual({ ...LEAST, control: '/var/run/tgtd/socket.0', patienceMs: 120_000 })
    expect(iscsiSettings({ ...LEAST, portal: '[::1]:3260', patience: '0' }).patienceMs).toBeUndefined()
  })

  test('each is in the table of its page', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/drivers/iscsi.md'), 'utf8')
    const listed = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(() => iscsiSettings({ none: '' })).toThrow(`it has ${listed.join(', ')}`)
  })
})

describe('names', () => {
  const node = { id: 'node-1', bootId: '94abdc94-0d9f-4618-91ab-42851c430821' }
  const access = accessName(node)

  test('an initiator is a node in one boot', () => {
    expect(accessOf(initiatorName(access))).toBe(access)
    expect(isSameNode(initiatorName(`${node.id}.other-boot`), access)).toBe(true)
    expect(isSameNode(initiatorName('node-10.94abdc94'), access)).toBe(false)
    expect(isSameNode('iqn.1993-08.org.debian:01:abc', access)).toBe(false)
    expect(accessOf('iqn.2026-11.holdfast:../x')).toBeUndefined()
  })

  test.each(['', 'a/b', 'Node', 'a.b', 'a@b'])('a node %j can have none', (id) => {
    expect(() => accessName({ ...node, id })).toThrow(expect.objectContaining({ code: 'invalid_name' }))
  })

  test('a target is of one object, whatever its name; writers share one, readers do not', () => {
    const [one, two] = [access, 'node-2.boot']
    for (const object of ['a', 'a.b', 'x'.repeat(128)]) {
      expect(targetName(POOL, object, one, false)).toBe(targetName(POOL, object, two, false))
      expect(targetName(POOL, object, one, true)).not.toBe(targetName(POOL, object, two, true))
      for (const readOnly of [true, false]) {
        const name = targetName(POOL, object, one, readOnly)
        expect(objectOfTarget(POOL, name)).toBe(object)
        expect(objectOfTarget('another-pool', name)).toBeUndefined()
        expect(name.length).toBeLessThanOrEqual(223)
      }
    }
  })
})
