import { describe, expect, test } from 'vitest'
import { saysAbsent, saysNotMounted } from '../../src/docker-plugin/absent.ts'

describe('what a driver says of a volume that it does not have', () => {
  test.each([
    'no such volume "db" [not_found]',
    'docker-legacy: Get: db: failed: resource not found',
    'docker-csi-bridge: Get: unknown volume: db',
    'No such volume',
    'volume db not found',
    'Volume "db" does not exist',
    'volume not found',
    'VolumeDriver: volume named db was not found',
    'No volume found with the name db',
    'could not find volume db',
    "Couldn't find volume",
    "volume 'db' doesn't exist",
  ])('%s', (error) => {
    expect(saysAbsent(error, 'db', [])).toBe(true)
  })

  test.each([
    'the controller does not answer [unreachable]',
    'volume group "vg0" not found',
    'volume type gold not found',
    'volume db: connection to the pool was not found',
    'resource not found',
    'credentials file not found',
    '404 page not found',
    'exec: "rbd": executable file not found in $PATH',
    'cannot find volume group vg0',
    'could not find the volume service',
    'volume other not found while looking for db',
    'timeout',
    '',
  ])('is not said by: %s', (error) => {
    expect(saysAbsent(error, 'db', [])).toBe(false)
  })

  test('a name is taken as it is, and the operator may know more words', () => {
    expect(saysAbsent('volume a.b+c not found', 'a.b+c', [])).toBe(true)
    expect(saysAbsent('volume aXb+c not found', 'a.b+c', [])).toBe(false)
    expect(saysAbsent('volume $& not found', '$&', [])).toBe(true)
    expect(saysAbsent('kein Datenträger db', 'db', [])).toBe(false)
    expect(saysAbsent('kein Datenträger db', 'db', ['kein Datenträger'])).toBe(true)
  })

  test('of one that is not mounted', () => {
    expect(saysNotMounted('docker-csi-bridge: Path: volume not mounted: pv1')).toBe(true)
    expect(saysNotMounted('umount: /mnt/db: target is busy')).toBe(false)
  })
})
