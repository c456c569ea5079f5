import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { needs } from '../../support/missing.ts'
import { block, mount, mountOptions, NodeWorld, outcome, type Plugin } from './support/node-world.ts'

needs('root', 'loop-devices').describe('the Node service', () => {
  let world: NodeWorld
  let one: Plugin
  let two: Plugin

  beforeAll(async () => {
    world = await NodeWorld.start()
    one = world.plugin(1)
    two = world.plugin(2)
  })
  afterAll(() => world?.dispose())

  test('a volume is staged, published, written, and follows its user to another node', async () => {
    const volume = await world.create('moves')
    const paths = world.paths('moves')
    await one.stage(volume, paths)
    expect(await world.users('moves')).toEqual(['node-1 rw csi'])
    await one.publish(volume, paths)
    writeFileSync(join(paths.target, 'file'), 'kept')
    expect(await outcome(two.stage(volume, paths))).toMatch(/^FAILED_PRECONDITION .*node-1/)
    await one.leave(volume, paths)
    expect(existsSync(paths.target)).toBe(false)
    expect(await world.users('moves')).toEqual([])
    await two.stage(volume, paths)
    await two.publish(volume, paths)
    expect(readFileSync(join(paths.target, 'file'), 'utf8')).toBe('kept')
    await two.leave(volume, paths)
  })
})
