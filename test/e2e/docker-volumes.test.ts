/** The Docker door with real Docker daemons: two of them stand for two machines. */
import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DockerWorld } from '../doors/docker/support/docker-world.ts'
import { PluginClient } from '../doors/docker/support/plugin-client.ts'
import { DOCKERD_NEEDS, type Dockerd } from '../support/dockerd.ts'
import { needs } from '../support/missing.ts'

needs(...DOCKERD_NEEDS).describe('volumes with Docker', () => {
  let world: DockerWorld
  let one: Dockerd
  let two: Dockerd

  beforeAll(async () => {
    await DockerWorld.start((made) => {
      world = made
    })
    one = world.docker(1)
    two = world.docker(2)
  })
  afterAll(() => world?.dispose())

  async function create(name: string, ...options: string[]): Promise<void> {
    await one.ok('volume', 'create', '--driver=hf', '--opt=size=64MiB', ...options, name)
  }

  test('a container writes, and the next one reads', async () => {
    await create('plain')
    await one.sh('plain', 'echo hello > /data/file')
    expect(await one.sh('plain', 'cat /data/file')).toBe('hello')
    expect(await world.cluster.users('plain')).toEqual({})
  })

  test('two containers share one volume on one machine', async () => {
    await create('both')
    await one.sleeper('both-1', 'both')
    expect(await world.cluster.users('both')).toEqual({ 'node-1': 1 })
    await one.sleeper('both-2', 'both')
    expect(await world.cluster.users('both')).toEqual({ 'node-1': 2 })
    await one.ok('exec', 'both-1', 'sh', '-c', 'echo seen > /data/file')
    expect(await one.ok('exec', 'both-2', 'cat', '/data/file')).toBe('seen')
    await one.ok('rm', '--force', 'both-1')
    expect(await one.ok('exec', 'both-2', 'cat', '/data/file')).toBe('seen')
    await one.ok('rm', '--force', 'both-2')
    expect(await world.cluster.users('both')).toEqual({})
  })

  test('data follows a container to another machine, byte for byte', async () => {
    await create('moving')
    const written = await one.sh('moving', 'dd if=/dev/urandom of=/data/big bs=1M count=20 && sha256sum /data/big')
    expect(written).toMatch(/^[0-9a-f]{64} {2}\/data\/big$/)
    expect(await two.sh('moving', 'sha256sum /data/big')).toBe(written)
    expect(await one.sh('moving', 'sha256sum /data/big')).toBe(written)
  })

  test('what runs on one machine keeps another out, and says who', async () => {
    await create('kept')
    await one.sleeper('kept-1', 'kept')
    const refused = await two.run('run', '--rm', '--network=none', '-v', 'kept:/data', 'busybox', 'ls', '/data')
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/volume kept is in use on node node-1 \(docker [0-9a-f]{12}\) \[held_elsewhere\]/)
    await one.ok('rm', '--force', 'kept-1')
    await two.sh('kept', 'ls /data')
  })

  test('a volume in use is not removed: by the same Docker, nor by another', async () => {
    await create('used')
    await one.sleeper('used-1', 'used')
    expect((await one.run('volume', 'rm', 'used')).stderr).toMatch(/volume is in use/)
    expect((await two.run('volume', 'rm', 'used')).stderr).toMatch(/in use on node node-1 \[in_use\]/)
    expect((await two.run('volume', 'rm', '--force', 'used')).stderr).toMatch(/in_use/)
    expect(await one.ok('exec', 'used-1', 'sh', '-c', 'echo alive > /data/x; cat /data/x')).toBe('alive')
    await one.ok('rm', '--force', 'used-1')
    await one.ok('volume', 'rm', 'used')
  })

  test('inspect and ls tell the same on every machine', async () => {
    await create('seen', '--opt=iops=5')
    await one.sleeper('seen-1', 'seen')
    const [here] = JSON.parse(await one.ok('volume', 'inspect', 'seen'))
    const [there] = JSON.parse(await two.ok('volume', 'inspect', 'seen'))
    const status = { state: 'available', size: '64MiB', iops: 5, nodes: ['node-1'], pool: 'loop~e2e~pool', fs: 'ext4' }
    expect(here).toMatchObject({ Driver: 'hf', Scope: 'global', Name: 'seen', Status: status })
    expect(here.Mountpoint).toContain(world.cluster.node(1).mountRoot)
    expect(there).toMatchObject({ Mountpoint: '', Status: status, CreatedAt: here.CreatedAt })
    for (const daemon of [one, two]) {
      const names = (await daemon.ok('volume', 'ls', '--filter', 'driver=hf', '--format', '{{.Name}}')).split('\n')
      expect(names).toContain('seen')
    }
    await one.ok('rm', '--force', 'seen-1')
  })

  test('prune removes none of ours, whichever way it is asked', async () => {
    await create('unused')
    await one.ok('volume', 'create', 'local-one')
    expect(await one.ok('volume', 'prune', '--force')).toContain('local-one')
    await one.ok('system', 'prune', '--force', '--volumes')
    for (const version of ['v1.25', 'v1.41']) {
      expect(await pruneByApi(one.socket, version)).toEqual({ VolumesDeleted: [], SpaceReclaimed: 0 })
    }
    expect(await world.cluster.volume('unused')).toMatchObject({ state: 'available' })
  })

  test('a container that is removed with its anonymous volumes leaves the named ones', async () => {
    await create('named')
    await one.ok('run', '--name=named-1', '--network=none', '-v', 'named:/data', 'busybox', 'touch', '/data/x')
    await one.ok('rm', '--volumes', 'named-1')
    expect(await one.sh('named', 'ls /data/x')).toBe('/data/x')
  })

  test('a volume that is named in `docker run` is made with the default size', async () => {
    await one.ok(
      'run',
      '--rm',
      '--network=none',
      '--volume-driver=hf',
      '-v',
      'implicit:/data',
      'busybox',
      'ls',
      '/data',
    )
    expect(await world.cluster.volume('implicit')).toMatchObject({ sizeMiB: 16 * 1024, state: 'available' })
    const refused = await one.run('run', '--rm', '--network=none', '--volume-driver=hf', '-v', '/data', 'busybox', 'ls')
    expect(refused.stderr).toMatch(/a volume needs a name here.*invalid_name/)
  })

  test('what is in the image at the mount point is copied into a new volume', async () => {
    // on xfs: Docker copies into empty volumes only, and a new ext4 has its lost+found
    await one.ok('volume', 'create', '--driver=hf', '--opt=size=512MiB', '--opt=fs=xfs', 'populated')
    await one.ok('run', '--rm', '--network=none', '-v', 'populated:/bin', 'busybox', 'ls', '/bin')
    expect(await two.sh('populated', 'ls /data')).toContain('busybox')
  })

  test('a removed volume can be had back from the trash with its data', async () => {
    await create('regretted')
    await one.sh('regretted', 'echo precious > /data/file')
    const { id } = await world.cluster.volume('regretted')
    await one.ok('volume', 'rm', 'regretted')
    expect((await two.run('volume', 'inspect', 'regretted')).code).not.toBe(0)
    await world.cluster.rest.rest('POST', `/v1/volumes/${id}/undelete`)
    expect(await two.sh('regretted', 'cat /data/file')).toBe('precious')
  })

  test('a protected volume is not removed', async () => {
    await create('guarded', '--opt=protect=true')
    expect((await one.run('volume', 'rm', 'guarded')).stderr).toMatch(/\[protected\]/)
    expect((await one.run('volume', 'rm', '--force', 'guarded')).stderr).toMatch(/\[protected\]/)
    expect(await world.cluster.volume('guarded')).toMatchObject({ state: 'available' })
  })

  test('a volume that says read-only is so in the container, on both machines at once', async () => {
    await create('library')
    await one.sh('library', 'echo text > /data/book')
    await world.cluster.rest.rest('PATCH', '/v1/volumes/library', { access: 'read-only' })
    await one.sleeper('library-1', 'library')
    expect(await two.sh('library', 'cat /data/book; touch /data/x 2>&1 || true')).toMatch(
      /text\n.*Read-only file system/,
    )
    expect(await one.ok('exec', 'library-1', 'cat', '/data/book')).toBe('text')
    await one.ok('rm', '--force', 'library-1')
  })

  test('create again is no error, and changes nothing; the door itself tells other options apart', async () => {
    await create('twice')
    await create('twice')
    // Docker itself does not ask a second time: it has found the volume
    await one.ok('volume', 'create', '--driver=hf', '--opt=size=1', 'twice')
    expect(await world.cluster.volume('twice')).toMatchObject({ sizeMiB: 64 })
    const door = new PluginClient(world.cluster.node(1).socket)
    await expect(door.create('twice', { size: '1' })).rejects.toThrow('name_taken')
  })

  test.each([
    ['size=0', /size "0": it is zero.*\[invalid_size\]/],
    ['size=-5', /size "-5".*\[invalid_size\]/],
    ['size=5 apples', /size "5 apples".*\[invalid_size\]/],
    ['size=1e9', /\[invalid_size\]/],
    ['size=99999999999999999999', /\[invalid_size\]/],
    ['size=1PiB', /1,073,741,824 asked.*\[does_not_fit\]/],
    ['siez=5', /there is no option "siez"; did you mean size\? \[invalid_option\]/],
    ['fs=ntfs', /fs "ntfs": one of ext4, xfs, btrfs \[invalid_option\]/],
    ['fs=raw', /\[invalid_option\]/],
    ['iops=many', /\[invalid_option\]/],
    ['role=other', /this Docker acts for default \[role_not_allowed\]/],
    ['pool=nowhere~at~all', /nowhere~at~all.*\[not_found\]/],
    ['from=nothing', /no snapshot or volume "nothing" \[not_found\]/],
  ])('the bad option %s is refused with a sentence, and makes nothing', async (option, sentence) => {
    const refused = await one.run('volume', 'create', '--driver=hf', '--opt', option, 'bad')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(sentence)
    expect((await one.run('volume', 'inspect', 'bad')).code).toBe(1)
  })

  test.each(['a'.repeat(64), 'Grüße', '..', '-dash', '$(reboot)'])('the bad name %j is refused', async (name) => {
    const refused = await one.run('volume', 'create', '--driver=hf', '--opt=size=16MiB', '--', name)
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).not.toBe('')
  })
})

/** As the command of other versions would ask: only since 1.42 does it take care not to remove what has a name. */
function pruneByApi(socketPath: string, version: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path: `/${version}/volumes/prune`, method: 'POST' }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve(JSON.parse(text)))
    })
    sent.on('error', reject)
    sent.end()
  })
}
