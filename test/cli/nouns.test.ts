import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type RunningDev, runDev } from '../../src/cli/dev.ts'
import { needs } from '../support/missing.ts'
import { type TempDir, tempDir, testDir } from '../support/temp-dir.ts'
import { holdfast, masked, type Ran } from './holdfast.ts'

// One installation with two real nodes and a real loop pool for the whole file; the tests tell one story, in order.

const POOL = 'loop~dev~pool'

needs('root', 'loop-devices', 'mkfs.ext4').describe('every noun, against a real controller and real nodes', () => {
  let dir: TempDir
  let dev: RunningDev
  let env: Record<string, string>
  const run = (line: string) => holdfast(line.split(' '), env)
  const json = async (line: string) => JSON.parse((await ok(`${line} -o json`)).out)

  async function ok(line: string): Promise<Ran> {
    const ran = await run(line)
    expect(ran.code, `${line}\n${ran.err}`).toBe(0)
    return ran
  }

  beforeAll(async () => {
    dir = tempDir()
    const log = pino({ level: 'silent' })
    const options = { nodes: 2, poolSizeMiB: 10_240, poolIops: 1000, docker: 'off' as const, log }
    dev = await runDev({ dir: join(dir.path, 'd'), ...options })
    env = { HOLDFAST_API: dev.api, HOLDFAST_TOKEN: dev.token }
  })

  afterAll(async () => {
    await dev?.stop()
    dir.remove()
  })

  test('pools and nodes are listed in aligned columns', async () => {
    expect((await ok('pool list')).out).toBe(
      [
        'NAME           DRIVER  STATE    SIZE  USED  HELD   FREE  IOPS FREE  NODES',
        'loop~dev~pool  loop    active  10GiB  0MiB  0MiB  10GiB      1,000      2',
        '',
      ].join('\n'),
    )
    expect(masked((await ok('node list --no-headers')).out).replaceAll(/\d+\.\d+\.\d+/g, 'VERSION')).toBe(
      'node-1 up taken 1 0/64 - VERSION AGE\nnode-2 up taken 1 0/64 - VERSION AGE\n',
    )
  })

  test('volume create waits, tells each step, and shows the volume', async () => {
    const { out, err } = await ok('volume create db-1 --size 64MiB --iops 100 --label tier=gold')
    expect(masked(out)).toBe(
      [
        'name: db-1',
        'id: vol-ID',
        'state: available',
        'size: 64 MiB (64MiB)',
        'iops: 100 (advisory)',
        'filesystem: ext4',
        'access: single-writer',
        'role: default',
        `pool: ${POOL}`,
        'object: hf-INST-vol-ID',
        'protected: no',
        'labels: tier=gold',
        'created by: admin',
        'age: AGE',
        '',
      ].join('\n'),
    )
    expect(err).toMatch(/^provision db-1: (.*\n)*provision db-1: succeeded\n$/)
  })

  test('json and yaml carry the same, with exact MiB', async () => {
    const [volume] = await json('volume list')
    expect(volume).toMatchObject({ name: 'db-1', sizeMiB: 64, state: 'available', pool: POOL })
    expect(parse((await ok('volume list -o yaml')).out)).toEqual([volume])
    expect(await json(`volume show ${volume.id}`)).toEqual(volume)
  })

  test('volumes are filtered, by labels too', async () => {
    await ok('volume create web --size 16MiB --fs raw --role ads --label tier=gold --label app=web')
    const names = async (filter: string) =>
      (await json(`volume list ${filter}`)).map((each: { name: string }) => each.name)
    expect(await names('--label tier=gold --label app=web')).toEqual(['web'])
    expect((await names('--label tier=gold')).sort()).toEqual(['db-1', 'web'])
    expect(await names('--role ads')).toEqual(['web'])
    expect(await names('--in-use')).toEqual([])
    expect((await names('--idle')).sort()).toEqual(['db-1', 'web'])
    expect(await names('--limit 1')).toHaveLength(1)
    await ok('volume delete web')
  })

  test('what does not fit exits with 3, the numbers and the smallest change', async () => {
    const { code, out, err } = await run('volume create big --size 20GiB')
    expect([code, out]).toEqual([3, ''])
    expect(err).toBe(
      [
        `holdfast: volume big, 20,480 MiB for role default: pool ${POOL}: 10,176 MiB free, 20,480 asked`,
        `  ✗ ${POOL}: 10,176 MiB free, 20,480 asked`,
        '      smallest change: ask for 10,304 MiB less',
        '',
      ].join('\n'),
    )
  })

  test('explain answers at a glance and changes nothing', async () => {
    const fits = await ok('explain --size 1GiB --iops 10')
    const [verdict, , pools, pool, , nodes, ...each] = fits.out.trimEnd().split('\n')
    expect(verdict).toBe(`1,024 MiB (1GiB) and 10 IOPS: fits → ${POOL} on node-1`)
    expect([pools, nodes]).toEqual(['pools', 'nodes'])
    expect(pool).toBe(`✓ ${POOL}  chosen · 10,176 MiB free, 1,024 asked · 900 IOPS free, 10 asked`)
    expect(each).toEqual([
      expect.stringMatching(/^✓ node-1 {2}64 of 64 attachments free/),
      expect.stringMatching(/^✓ node-2 {2}64 of 64 attachments free/),
    ])
    const not = await run('explain --size 1GiB --iops 5000')
    expect(not.code).toBe(3)
    expect(not.out).toContain(`✗ ${POOL}  900 IOPS free, 5,000 asked`)
    expect(not.out).toContain('smallest change: ask for 4,100 IOPS less')
    expect((await json('volume list')).length).toBe(1)
  })

  test('what is not there exits with 4 and the name that was meant', async () => {
    expect(await run('volume show db-2')).toMatchObject({
      code: 4,
      err: 'holdfast: no such volume "db-2"; did you mean "db-1"?\n',
    })
    expect(await run('pool show loop~dev~poool')).toMatchObject({
      code: 4,
      err: expect.stringContaining(`mean "${POOL}"?`),
    })
    expect(await run('volume create x --size 1MiB --pool lop~dev~pool')).toMatchObject({
      code: 4,
      err: expect.stringContaining(`mean "${POOL}"?`),
    })
    expect(await run('node cordon nod-1')).toMatchObject({
      code: 4,
      err: expect.stringContaining('did you mean "node-1"?'),
    })
    expect(await run('operation wait op-nothing')).toMatchObject({ code: 4 })
  })

  test('a conflict exits with 5, and an attached volume cannot be deleted', async () => {
    expect(await run('volume create db-1 --size 1GiB')).toMatchObject({
      code: 5,
      err: expect.stringContaining('exists already'),
    })
    const { path } = await json('volume attach db-1 --node node-1')
    writeFileSync(join(path, 'file'), 'kept')
    expect((await ok('attachment list')).out).toMatch(/^VOLUME +NODE +STATE .*\ndb-1 +node-1 +mounted +rw /)
    expect(await run('volume delete db-1')).toMatchObject({ code: 5, err: expect.stringContaining('in use') })
    expect((await ok('volume detach db-1')).out).toBe('volume db-1 detached from node-1\n')
    expect(existsSync(join(path, 'file'))).toBe(false)
    expect(await run('volume detach db-1')).toMatchObject({
      code: 4,
      err: expect.stringContaining('is not attached anywhere'),
    })
  })

  test('a protected volume stays, an unprotected one grows', async () => {
    await ok('volume protect db-1')
    expect(await run('volume delete db-1')).toMatchObject({ code: 5, err: expect.stringContaining('protected') })
    await ok('volume unprotect db-1')
    expect((await json('volume resize db-1 --size 0.125GiB')).sizeMiB).toBe(128)
  })

  test('a snapshot is taken, listed, copied from and deleted', async () => {
    expect((await json('snapshot create db-1 --name s1')).state).toBe('available')
    expect((await ok('snapshot list --volume db-1')).out).toMatch(/\ns1 +db-1 +available +128MiB /)
    expect((await json('volume create copy --size 128MiB --from-snapshot s1')).state).toBe('available')
    await ok('volume delete copy')
    expect((await ok('snapshot delete s1')).out).toBe('snapshot s1 deleted\n')
    expect(await json('snapshot list')).toEqual([])
  })

  test('the trash keeps a volume, which comes back or is purged by its name', async () => {
    expect((await json('volume delete db-1 --trash 1h')).state).toBe('trash')
    expect((await json('volume undelete db-1')).state).toBe('available')
    await ok('volume delete db-1 --trash 1h')
    expect((await ok('volume purge db-1')).out).toBe('volume db-1 deleted\n')
    expect(await json('volume list')).toEqual([])
  })

  test('a released volume is forgotten and can be imported again', async () => {
    const { object } = await json('volume create keep --size 64MiB')
    expect(await run('volume release keep')).toMatchObject({ code: 2, err: expect.stringContaining('--yes') })
    expect((await ok('volume release keep --yes')).out).toBe('volume keep released\n')
    const imported = await json(`volume import ${POOL} ${object} --name kept`)
    expect(imported).toMatchObject({ name: 'kept', sizeMiB: 64, state: 'available', imported: true })
    await ok('volume unprotect kept')
    await ok('volume delete kept')
  })

  test('a group is made all or none, from flags and from a file', async () => {
    const flags = await json('group create --name pair --volume name=g1,size=16MiB --volume name=g2,size=16MiB,fs=raw')
    expect(flags).toMatchObject({ name: 'pair', state: 'complete', members: [{ name: 'g1' }, { name: 'g2' }] })
    const file = join(testDir(), 'group.yaml')
    writeFileSync(file, 'name: filed\nvolumes:\n  - {name: f1, size: 16MiB}\n  - {name: f2, size: 99TiB}\n')
    expect(await run(`group create ${file}`)).toMatchObject({ code: 3 })
    expect((await json('group list')).map((each: { name: string }) => each.name)).toEqual(['pair'])
    const input = '{"volumes": [{"name": "f1", "sizeMiB": 16, "labels": {"a": "b"}}]}'
    expect(await holdfast(['group', 'create', '-'], env, input)).toMatchObject({ code: 0 })
    expect(await json('volume show f1')).toMatchObject({ labels: { a: 'b' }, sizeMiB: 16 })
    for (const name of ['g1', 'g2', 'f1']) await ok(`volume delete ${name}`)
  })

  test('roles and holds', async () => {
    await ok('role set ads/web --size 1GiB --iops 50')
    expect(await run('volume create a --size 2GiB --role ads/web')).toMatchObject({ code: 3 })
    expect((await ok('role show ads/web')).out).toMatch(/^role: +ads\/web\nquota: +1GiB\n/)
    const hold = await json(`hold create --pool ${POOL} --size 100MiB --role ads/web --expires-in 1h`)
    expect(hold).toMatchObject({ remainingMiB: 100, role: 'ads/web' })
    expect((await json(`volume create a --size 60MiB --role ads/web --fs raw --hold ${hold.id}`)).draws[0].holdId).toBe(
      hold.id,
    )
    expect((await ok('hold list')).out).toMatch(/ads\/web +100MiB +40MiB /)
    await ok('volume delete a')
    expect((await ok(`hold release ${hold.id}`)).out).toMatch(/released\n$/)
    await ok('role delete ads/web')
  })

  test('a cordoned node takes nothing, and says so', async () => {
    expect((await json('node cordon node-2')).cordoned).toBe(true)
    expect(
      (await ok('explain --size 16MiB --node node-2').catch(() => run('explain --size 16MiB --node node-2'))).out,
    ).toContain('✗ node-2')
    expect((await json('node uncordon node-2')).cordoned).toBe(false)
    expect((await json('node update node-2 --label rack=r2 --attachment-limit 9 --bandwidth 100')).labels).toEqual({
      rack: 'r2',
    })
    expect((await ok('node show node-2')).out).toMatch(/bandwidth: +0\/100 /)
  })

  test('pool update, mark, inventory and delete', async () => {
    const directory = testDir()
    const made = await run(
      `pool create loop~other~pool --capacity 1GiB --setting directory=${directory} --mark-on node-1`,
    )
    expect(made, made.err).toMatchObject({ code: 0, out: expect.stringContaining('state: ') })
    expect((await json('pool update loop~other~pool --capacity 2GiB --overcommit 1.5')).usage.limitMiB).toBe(3072)
    expect(await run('pool mark loop~other~pool --node node-1')).toMatchObject({ code: 0 })
    expect((await ok(`pool inventory ${POOL}`)).out).toMatch(/^OBJECT +STATUS /)
    expect((await ok('pool delete loop~other~pool')).out).toBe('pool loop~other~pool removed\n')
  })

  test('tokens: only the secret is printed, a reader may not write, a saved one is for its owner alone', async () => {
    const { out, err } = await ok('token create --kind reader --note test')
    expect(out).toMatch(/^hft_\S+\n$/)
    expect(err).toMatch(/^reader token tok-\S+\n$/)
    const reader = { ...env, HOLDFAST_TOKEN: out.trim() }
    expect(await holdfast(['volume', 'create', 'x', '--size', '1GiB'], reader)).toMatchObject({ code: 6 })
    const file = join(testDir(), 'token')
    await ok(`node token --save ${file} --expires-in 5m`)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8')).toMatch(/^hft_\S+\n$/)
    const [first] = await json('token list --limit 1')
    expect(first.hash).toBeUndefined()
    const [id = ''] = /tok-\S+/.exec(err) ?? []
    expect((await ok(`token revoke ${id}`)).out).toBe(`token ${id} revoked\n`)
    expect(await holdfast(['volume', 'list'], reader)).toMatchObject({
      code: 6,
      err: expect.stringContaining('give a token'),
    })
  })

  test('a framework, which may not see operations, is still waited for', async () => {
    const secret = (await ok('token create --kind framework --role ads')).out.trim()
    const framework = { ...env, HOLDFAST_TOKEN: secret }
    const made = await holdfast(['volume', 'create', 'mine', '--size', '16MiB'], framework)
    expect(made, made.err).toMatchObject({ code: 0, out: expect.stringContaining('available') })
    const gone = await holdfast(['volume', 'delete', 'mine'], framework)
    expect(gone, gone.err).toMatchObject({ code: 0, out: 'volume mine deleted\n' })
  })

  test('status is one screen', async () => {
    const { out } = await ok('status')
    expect(
      masked(out)
        .replace(/\d+\.\d+\.\d+/, 'VERSION')
        .replace(/installation \w+, revision \S+/, 'installation INST, revision N,'),
    ).toBe(
      [
        'holdfast VERSION, installation INST, revision N, TIME',
        '',
        'POOLS',
        `${POOL} [······························] 0MiB used, 0MiB held, 10GiB free of 10GiB`,
        ' [······························] 0 used, 0 held, 1,000 free of 1,000 IOPS',
        '',
        'NODES 2 up, 0 lost, 0 never seen',
        'NAME STATE NEW WORK ATTACHED LOST FOR',
        'node-1 up taken 0/64 -',
        'node-2 up taken 0/9 -',
        '',
        'OPERATIONS 0 running, 0 waiting, 0 overdue, 0 failed in the last hour',
        '',
        'STUCK nothing',
        '',
      ].join('\n'),
    )
  })

  test('events tell the story again, filtered and from a revision', async () => {
    const lines = (await ok('events --after 0 --type volume.created')).out.trim().split('\n')
    expect(lines[0]).toMatch(/^\S+ +\d+ {2}volume\.created {2}volume db-1 {2}by admin {2}.*sizeMiB=64/)
    const all = (await ok('events --after 0 -o json')).out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).revision)
    expect(all).toEqual(all.map((_, index) => index + 1))
    expect((await ok('events --limit 3')).out.trim().split('\n')).toHaveLength(3)
    expect(await run('events --after 99999999')).toMatchObject({
      code: 4,
      err: expect.stringContaining('the history ends at'),
    })
  })

  test('a clock that did not jump needs no confirming', async () => {
    expect(await run('clock confirm')).toMatchObject({ code: 5, err: 'holdfast: expiry is not suspended\n' })
  })

  test('--no-wait returns at once and says how to follow; wait follows', async () => {
    const { out, err } = await ok('volume create later --size 16MiB --no-wait')
    expect(out).toContain('later')
    const [, id = ''] = /holdfast operation wait (op-\S+)/.exec(err) ?? []
    expect((await json(`operation wait ${id} --timeout 30s`)).state).toBe('succeeded')
    expect((await ok(`operation show ${id}`)).out).toContain('volume later')
    expect((await ok('operation list --kind provision --state succeeded')).out).toContain(id)
    expect(await run(`operation cancel ${id}`)).toMatchObject({ code: 5 })
    await ok('volume delete later')
  })

  test('the same idempotency key does it once', async () => {
    const line = 'volume create once --size 16MiB --fs raw --idempotency-key k1 -o json'
    const [first, second] = [JSON.parse((await ok(line)).out), JSON.parse((await ok(line)).out)]
    expect(second.id).toBe(first.id)
    expect(await run(line.replace('16MiB', '17MiB'))).toMatchObject({ code: 5 })
    await ok('volume delete once')
  })
})
