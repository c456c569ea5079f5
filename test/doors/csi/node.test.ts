import { execFileSync } from 'node:child_process'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { needs } from '../../support/missing.ts'
import { block, mount, mountOptions, NodeWorld, outcome, type Plugin } from './support/node-world.ts'

/** Nothing listens on the port discard (RFC 863). */
const NOBODY = 'http://127.0.0.1:9'

needs('root', 'loop-devices', 'mkfs.xfs').describe('the Node service', () => {
  let world: NodeWorld
  let one: Plugin
  let two: Plugin

  beforeAll(async () => {
    world = await NodeWorld.start()
    one = world.plugin(1)
    two = world.plugin(2)
  })
  afterAll(() => world?.dispose())

  test('a volume is staged, published and written, and follows its user to another node', async () => {
    const volume = await world.create('moves')
    const paths = world.paths('moves')
    await one.stage(volume, paths)
    expect(await world.users('moves')).toEqual(['node-1 rw csi'])
    await one.publish(volume, paths)
    writeFileSync(join(paths.target, 'file'), 'kept')
    expect(await outcome(two.stage(volume, paths))).toMatch(/^FAILED_PRECONDITION .*node-1/)
    expect(await outcome(one.unstage(volume, paths))).toMatch(/^FAILED_PRECONDITION .*still published at/)
    await one.leave(volume, paths)
    expect(existsSync(paths.target)).toBe(false)
    expect(await world.users('moves')).toEqual([])
    await two.stage(volume, paths)
    await two.publish(volume, paths)
    expect(readFileSync(join(paths.target, 'file'), 'utf8')).toBe('kept')
    await two.leave(volume, paths)
    // both again: nothing is left, which is what was asked for
    await two.leave(volume, paths)
  })

  test('repeats are answered the same, also at once; what differs is a conflict', async () => {
    const volume = await world.create('repeats')
    const paths = world.paths('repeats')
    const wish = mount('SINGLE_NODE_WRITER', { mountFlags: ['noatime', 'nodev'] })
    expect(await outcome(one.publish(volume, paths, wish))).toMatch(/^FAILED_PRECONDITION .*not staged/)
    await Promise.all([1, 2, 3].map(() => one.stage(volume, paths, wish)))
    await Promise.all([1, 2, 3].map(() => one.publish(volume, paths, wish)))
    expect(await world.users('repeats')).toEqual(['node-1 rw csi'])
    expect(mountOptions(paths.target)).toEqual(expect.arrayContaining(['rw', 'noatime', 'nodev']))
    expect(await outcome(one.stage(volume, paths))).toMatch(/^ALREADY_EXISTS .*another capability/)
    expect(await outcome(one.publish(volume, paths))).toMatch(/^ALREADY_EXISTS .*other flags/)
    expect(await outcome(one.publish(volume, paths, wish, { readonly: true }))).toMatch(/^ALREADY_EXISTS .*for writing/)
    // the name will do, and is the same volume
    expect(await outcome(one.stage('repeats', paths, wish))).toBe('OK')
    const other = await world.create('repeats-2')
    expect(await outcome(one.stage(other, paths, wish))).toMatch(/^ALREADY_EXISTS .*is staged there/)
    const others = { ...world.paths('repeats-2'), target: paths.target }
    await one.stage(other, others)
    expect(await outcome(one.publish(other, others))).toMatch(/^ALREADY_EXISTS .*volume repeats is there/)
    expect(await outcome(one.unpublish(other, paths))).toMatch(/^FAILED_PRECONDITION .*is there/)
    await one.unstage(other, others)
    await one.leave(volume, paths)
    expect(await world.users('repeats')).toEqual([])
  })

  test('readers, a single writer and other users of one volume on one node', async () => {
    const volume = await world.create('several')
    const paths = world.paths('several')
    const single = mount('SINGLE_NODE_SINGLE_WRITER')
    await one.stage(volume, paths, single)
    await one.publish(volume, paths, single)
    const second = { ...paths, target: `${paths.target}-2` }
    expect(await outcome(one.publish(volume, second, single))).toMatch(/^FAILED_PRECONDITION .*single writer/)
    await one.leave(volume, paths)
    const many = mount('SINGLE_NODE_MULTI_WRITER')
    await one.stage(volume, paths, many)
    await one.publish(volume, paths, many)
    await one.publish(volume, second, many, { readonly: true })
    writeFileSync(join(paths.target, 'file'), 'seen')
    expect(readFileSync(join(second.target, 'file'), 'utf8')).toBe('seen')
    expect(() => writeFileSync(join(second.target, 'file'), 'no')).toThrow(/EROFS/)
    await one.unpublish(volume, paths)
    // staged once more, somewhere else: the volume stays until the last of them has gone
    const elsewhere = world.paths('several-2')
    await one.stage(volume, elsewhere)
    await one.unstage(volume, elsewhere)
    expect(readFileSync(join(second.target, 'file'), 'utf8')).toBe('seen')
    await one.leave(volume, second)
    const reader = mount('SINGLE_NODE_READER_ONLY')
    await one.stage(volume, paths, reader)
    await one.publish(volume, paths, reader)
    expect(await world.users('several')).toEqual(['node-1 ro csi'])
    expect(mountOptions(paths.target)).toContain('ro')
    await one.leave(volume, paths)
    await one.stage(volume, paths, mount(), { publishContext: { 'holdfast.io/readonly': 'true' } })
    expect(await world.users('several')).toEqual(['node-1 ro csi'])
    await one.unstage(volume, paths)
  })

  test('a raw volume is a device at the target', async () => {
    const volume = await world.create('raw', { fs: 'raw' })
    const paths = world.paths('raw')
    expect(await outcome(one.stage(volume, paths))).toMatch(/^FAILED_PRECONDITION .*is raw/)
    await one.stage(volume, paths, block())
    await one.publish(volume, paths, block())
    await one.publish(volume, paths, block())
    expect(statSync(paths.target).isBlockDevice()).toBe(true)
    writeFileSync(paths.target, 'bytes', { flag: 'r+' })
    const { usage, volumeCondition } = await one.stats(volume, paths.target)
    expect(usage).toMatchObject([{ total: 32n * 1024n * 1024n, unit: 1 }])
    expect(volumeCondition).toMatchObject({ abnormal: false })
    expect(await outcome(one.publish(volume, paths, block(), { readonly: true }))).toMatch(/^FAILED_PRECONDITION/)
    expect(await outcome(one.publish(volume, paths))).toMatch(/^FAILED_PRECONDITION .*as block/)
    // the device would be another volume's next, so nobody can take this one away while it is shown
    const user = { door: 'csi', id: paths.staging }
    await expect(world.dev.running[0]?.daemon.unmount(volume, user)).rejects.toThrow(/still shown at/)
    await one.leave(volume, paths)
    expect(existsSync(paths.target)).toBe(false)
    const reader = block('SINGLE_NODE_READER_ONLY')
    await one.stage(volume, paths, reader)
    mkdirSync(paths.target)
    expect(await outcome(one.publish(volume, paths, reader))).toMatch(/^FAILED_PRECONDITION .*not a file/)
    rmSync(paths.target, { recursive: true })
    await one.publish(volume, paths, reader)
    expect(readFileSync(paths.target).subarray(0, 5).toString()).toBe('bytes')
    expect(() => writeFileSync(paths.target, 'no', { flag: 'r+' })).toThrow(/EPERM|EACCES|EROFS/)
    await one.leave(volume, paths)
    expect(await world.users('raw')).toEqual([])
  })

  test('what a volume cannot be is refused before anything is claimed', async () => {
    await world.create('plain')
    const paths = world.paths('plain')
    const refused = [
      [block(), /has a filesystem/],
      [mount('SINGLE_NODE_WRITER', { fsType: 'xfs' }), /is ext4, not xfs/],
      [mount('MULTI_NODE_READER_ONLY'), /single-writer/],
      [mount('MULTI_NODE_SINGLE_WRITER'), /single-writer/],
      [mount('MULTI_NODE_MULTI_WRITER'), /single-writer/],
    ] as const
    for (const [wish, why] of refused) {
      const said = await outcome(one.stage('plain', paths, wish))
      expect(said).toMatch(/^FAILED_PRECONDITION/)
      expect(said).toMatch(why)
    }
    for (const flag of ['password=secret', 'suid', 'noatime,loop', 'strictatime,noatime']) {
      const said = await outcome(one.stage('plain', paths, mount('SINGLE_NODE_WRITER', { mountFlags: [flag] })))
      expect(said).toMatch(/^INVALID_ARGUMENT volume_capability.mount.mount_flags/)
      expect(said).not.toContain('secret')
    }
    expect(await outcome(one.stage('nobody', paths))).toMatch(/^NOT_FOUND/)
    expect(await outcome(one.publish('nobody', paths))).toMatch(/^NOT_FOUND/)
    await world.rest.rest('PUT', '/v1/roles/other', {}).catch(() => undefined)
    await world.create('theirs', { role: 'other' })
    expect(await outcome(one.stage('theirs', paths))).toMatch(/^NOT_FOUND/)
    expect(await world.users('plain')).toEqual([])
  })

  test('many nodes read a volume that lets them', async () => {
    const volume = await world.create('shared', { access: 'many-readers' })
    const reader = mount('MULTI_NODE_READER_ONLY')
    const paths = world.paths('shared')
    const there = world.paths('shared-2')
    await one.stage(volume, paths, reader)
    await two.stage(volume, there, reader)
    await one.publish(volume, paths, reader)
    await two.publish(volume, there, reader)
    expect(await world.users('shared')).toEqual(['node-1 ro csi', 'node-2 ro csi'])
    expect(mountOptions(there.target)).toContain('ro')
    await one.unpublish(volume, paths)
    await two.unpublish(volume, there)
    // two nodes of one machine share its loop devices: the first of two readers can't prove that its own is gone
    await Promise.all(
      [one.unstage(volume, paths), two.unstage(volume, there)].map((each) => each.catch(() => undefined)),
    )
  })

  test('a volume is given to a group, with all that is in it', async () => {
    const volume = await world.create('group')
    const paths = world.paths('group')
    await one.stage(volume, paths)
    await one.publish(volume, paths)
    mkdirSync(join(paths.target, 'folder'))
    writeFileSync(join(paths.target, 'folder/file'), 'x', { mode: 0o600 })
    symlinkSync('/etc/passwd', join(paths.target, 'folder/link'))
    const before = statSync('/etc/passwd')
    const grouped = mount('SINGLE_NODE_WRITER', { volumeMountGroup: '4242' })
    expect(await outcome(one.publish(volume, paths, grouped))).toMatch(/^FAILED_PRECONDITION .*group 4242/)
    await one.leave(volume, paths)
    await one.stage(volume, paths, grouped)
    await one.publish(volume, paths, grouped)
    const modeOf = (name: string) => {
      const { gid, mode } = statSync(join(paths.target, name))
      return [gid, mode & 0o7777]
    }
    expect([modeOf('.'), modeOf('folder'), modeOf('folder/file')]).toEqual([
      [4242, 0o2775],
      [4242, 0o2775],
      [4242, 0o660],
    ])
    expect([statSync('/etc/passwd').gid, statSync('/etc/passwd').mode]).toEqual([before.gid, before.mode])
    // its users' changes stay: it is the group's already
    chownSync(join(paths.target, 'folder/file'), 0, 0)
    await one.stage(volume, paths, grouped)
    expect(modeOf('folder/file')[0]).toBe(0)
    await one.leave(volume, paths)
    const bad = mount('SINGLE_NODE_WRITER', { volumeMountGroup: '4294967295' })
    expect(await outcome(one.stage(volume, paths, bad))).toMatch(/^INVALID_ARGUMENT/)
  })

  test('a target that is something else, taken or busy', async () => {
    const volume = await world.create('targets')
    const paths = world.paths('targets')
    await one.stage(volume, paths)
    const at = (target: string) => ({ ...paths, target: join(world.dir, 'co', target) })
    writeFileSync(at('file').target, '')
    expect(await outcome(one.publish(volume, at('file')))).toMatch(/^FAILED_PRECONDITION .*not a directory/)
    expect(await outcome(one.publish(volume, at('file/below')))).toMatch(/^FAILED_PRECONDITION .*not a directory/)
    expect(await outcome(one.publish(volume, at('no/parent')))).toMatch(/^FAILED_PRECONDITION .*parent/)
    mkdirSync(join(at('full').target, 'folder'), { recursive: true })
    expect(await outcome(one.publish(volume, at('full')))).toMatch(/^FAILED_PRECONDITION .*not empty/)
    expect(await outcome(one.unpublish(volume, at('full')))).toMatch(/^FAILED_PRECONDITION .*not empty/)
    expect(readdirSync(at('full').target)).toEqual(['folder'])
    await one.publish(volume, paths)
    // somebody else's mount is neither covered nor taken away
    mkdirSync(at('tmpfs').target)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'theirs', at('tmpfs').target])
    const theirs = [one.publish(volume, at('tmpfs')), one.unpublish(volume, at('tmpfs'))].map(outcome)
    for (const said of await Promise.all(theirs)) {
      expect(said).toMatch(/^FAILED_PRECONDITION .*tmpfs \(theirs\) is mounted there/)
    }
    execFileSync('umount', [at('tmpfs').target])
    const { daemon } = world.dev.running[0] ?? {}
    const inside = { ...paths, target: join(paths.target, 'inside') }
    expect(await outcome(one.publish(volume, inside))).toMatch(/^PERMISSION_DENIED .*is a mount/)
    const own = { ...paths, target: daemon?.path(volume) ?? '' }
    expect(await outcome(one.publish(volume, own))).toMatch(/^PERMISSION_DENIED .*Holdfast's own/)
    expect(await outcome(one.unpublish(volume, own))).toMatch(/^PERMISSION_DENIED/)
    const open = openSync(join(paths.target, 'open'), 'w')
    expect(await outcome(one.unpublish(volume, paths))).toMatch(/^FAILED_PRECONDITION .*still used by/)
    closeSync(open)
    await one.leave(volume, paths)
  })

  test('paths that lead astray', async () => {
    const { dir } = world
    const paths = world.paths('tricks')
    symlinkSync('/etc', join(dir, 'co/link'))
    symlinkSync('/etc/passwd', join(dir, 'co/tricks/target'))
    const refused: [path: string, code: string][] = [
      ['relative/path', 'INVALID_ARGUMENT'],
      [`${dir}/co/../co/x`, 'INVALID_ARGUMENT'],
      [`${dir}/co//x`, 'INVALID_ARGUMENT'],
      [`${dir}/co/./x`, 'INVALID_ARGUMENT'],
      [`${dir}/co/a\nb`, 'INVALID_ARGUMENT'],
      [`${dir}/co/${'n'.repeat(256)}`, 'INVALID_ARGUMENT'],
      [`${dir}/${'long/'.repeat(900)}`, 'INVALID_ARGUMENT'],
      ['/', 'INVALID_ARGUMENT'],
      ['/etc/x', 'PERMISSION_DENIED'],
      ['/var/lib/kubelet-beside/x', 'PERMISSION_DENIED'],
      [`${dir}/co/link/x`, 'PERMISSION_DENIED'],
      [paths.target, 'PERMISSION_DENIED'],
      [`${dir}/node-1/mnt/x`, 'PERMISSION_DENIED'],
      [`${dir}/node-2/state`, 'PERMISSION_DENIED'],
      [`${dir}/pool/x`, 'PERMISSION_DENIED'],
    ]
    for (const [path, code] of refused) {
      const target = { ...paths, target: path }
      const staging = { ...paths, staging: path }
      const calls: Promise<unknown>[] = [one.publish('v', target), one.unpublish('v', target), one.stats('v', path)]
      // a staging path is the name of a user, too: it must be as good
      calls.push(one.stage('v', staging), one.unstage('v', staging))
      for (const said of await Promise.all(calls.map(outcome))) expect(`${path.slice(0, 80)}: ${said}`).toContain(code)
    }
    expect(readFileSync('/etc/passwd', 'utf8')).toContain('root')
  })

  test('how full a volume is, how well, and that it has grown', async () => {
    const volume = await world.create('grows', { sizeMiB: 320, fs: 'xfs' })
    const paths = world.paths('grows')
    await one.stage(volume, paths)
    await one.publish(volume, paths)
    const { usage, volumeCondition } = await one.stats(volume, paths.target)
    expect(usage.map(({ unit }) => unit)).toEqual([1, 2])
    for (const { total, used, available } of usage) expect(used + available).toBeLessThanOrEqual(total)
    expect(volumeCondition).toMatchObject({ abnormal: false })
    expect((await one.stats(volume, paths.staging)).usage).toHaveLength(2)
    expect(await outcome(one.stats(volume, world.paths('nowhere').staging))).toMatch(/^NOT_FOUND .*is not at/)
    expect(await outcome(one.stats('nobody', paths.staging))).toMatch(/^NOT_FOUND/)
    const expand = (requiredBytes: bigint, limitBytes = 0n) =>
      one.node.nodeExpandVolume(
        { volumeId: volume, volumePath: paths.target, capacityRange: { requiredBytes, limitBytes } },
        { deadlineMs: 10_000 },
      )
    const size = 320n * 1024n * 1024n
    expect(await outcome(expand(2n * size))).toMatch(/^OUT_OF_RANGE/)
    expect(await outcome(expand(2n, 1n))).toMatch(/^INVALID_ARGUMENT/)
    expect(await outcome(expand(1n, 2n))).toMatch(/^OUT_OF_RANGE/)
    await world.rest.rest('POST', `/v1/volumes/${volume}/resize?wait=20`, { sizeMiB: 640 })
    expect(await expand(2n * size)).toMatchObject({ capacityBytes: 2n * size })
    const after = await one.stats(volume, paths.target)
    expect(after.usage[0]?.total).toBeGreaterThan(usage[0]?.total ?? 0n)
    await one.leave(volume, paths)
  })

  test('a door that comes back, and one whose controller is away, know what is here', async () => {
    const volume = await world.create('restart')
    const paths = world.paths('restart')
    const first = await world.door({ journal: 'restart.db' })
    await first.plugin.stage(volume, paths)
    await first.close()
    const second = await world.door({ journal: 'restart.db', api: NOBODY })
    await second.plugin.publish(volume, paths)
    await second.plugin.stage(volume, paths)
    expect((await second.plugin.stats(volume, paths.target)).usage).toHaveLength(2)
    const unknown = second.plugin.node.nodeStageVolume(
      { volumeId: 'moves', stagingTargetPath: world.paths('moves').staging, volumeCapability: mount() },
      { deadlineMs: 2500 },
    )
    expect(await outcome(unknown)).toMatch(/^UNAVAILABLE .*does not answer/)
    await second.close()
    const third = await world.door({ journal: 'restart.db' })
    await third.plugin.publish(volume, paths)
    await third.plugin.leave(volume, paths)
    expect(world.logged).toContainEqual(expect.objectContaining({ event: 'csi.refused', code: 'UNAVAILABLE' }))
  })

  test('what the plugin and the node say of themselves', async () => {
    const options = { deadlineMs: 10_000 }
    expect(await one.identity.getPluginInfo({}, options)).toMatchObject({ name: 'csi.holdfast.io' })
    expect((await one.identity.probe({}, options)).ready).toBe(true)
    const { capabilities } = await one.node.nodeGetCapabilities({}, options)
    expect(capabilities.map(({ type }) => type.value?.type)).toEqual([1, 2, 3, 4, 5, 6])
    const info = await one.node.nodeGetInfo({}, options)
    const pools = await world.rest.rest<{ items: { id: string }[] }>('GET', '/v1/pools')
    expect(info).toMatchObject({
      nodeId: 'node-1',
      maxVolumesPerNode: 64n,
      accessibleTopology: {
        segments: {
          [`topology.holdfast.io/pool-${pools.items[0]?.id}`]: 'true',
        },
      },
    })
  })
})
