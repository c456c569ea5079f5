import { expect, test } from 'vitest'
import { daemonCommand } from '../../src/programs/storage-daemon.ts'
import { parseTargets } from '../../src/programs/tgt.ts'

// as tgtadm 1.0.85 prints it, lines that nobody reads left out
const LISTING = `Target 7: iqn.2026-11.holdfast:pool.a
    System information:
        Driver: iscsi
        State: ready
    I_T nexus information:
        I_T nexus: 3
            Initiator: iqn.2026-11.holdfast:node-1.boot alias: none
            Connection: 0
                IP Address: 127.0.0.1
    LUN information:
        LUN: 0
            Type: controller
            Readonly: No
            Backing store type: null
            Backing store path: None
            Backing store flags: 
        LUN: 2
            Type: disk
            Size: 67 MB, Block size: 512
            Readonly: Yes
            Backing store type: rdwr
            Backing store path: /srv/pool/.holdfast-access/a@node-1.boot
            Backing store flags: 
    Account information:
    ACL information:
        192.0.2.0/24
        iqn.2026-11.holdfast:node-1.boot
Target 2147483000: iqn.2026-11.holdfast:pool.b
    System information:
        Driver: iscsi
        State: ready
    I_T nexus information:
    LUN information:
        LUN: 0
            Type: controller
            Backing store path: None
    Account information:
    ACL information:
`

test('targets are read with who may, and who does, log in to them', () => {
  expect(parseTargets(LISTING)).toEqual([
    {
      tid: 7,
      name: 'iqn.2026-11.holdfast:pool.a',
      allowed: ['192.0.2.0/24', 'iqn.2026-11.holdfast:node-1.boot'],
      sessions: ['iqn.2026-11.holdfast:node-1.boot'],
      luns: [{ lun: 2, path: '/srv/pool/.holdfast-access/a@node-1.boot', readOnly: true }],
    },
    { tid: 2147483000, name: 'iqn.2026-11.holdfast:pool.b', allowed: [], sessions: [], luns: [] },
  ])
  expect(parseTargets('')).toEqual([])
})

test('under systemd a storage daemon has a scope of its own, so that it does not end with the unit of the node daemon', () => {
  const disk = { portal: '192.0.2.1:3260', target: 'iqn.2026-11.holdfast:pool.a', lun: 1, initiator: 'iqn.x' }
  const options = { ...disk, file: '/state/iscsi/pool/a.disk', readOnly: true, iops: 0 }
  const command = daemonCommand(options, true, '/usr/bin')
  const at = command.indexOf('systemd-run')
  expect(command.slice(0, at)).toEqual(['--ignore-environment', '--chdir=/state/iscsi', 'PATH=/usr/bin', 'LC_ALL=C'])
  expect(command.slice(at, command.indexOf('--daemonize'))).toEqual([
    ...['systemd-run', '--scope', '--quiet', '--collect', '--description=Holdfast disk a.disk', '--'],
    'qemu-storage-daemon',
  ])
  expect(daemonCommand(options, false, '/usr/bin')).toEqual(command.toSpliced(at, 6))
})
