import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningDev, runDev } from '../../../src/cli/dev.ts'
import { GrpcChannel, type UnaryClient } from '../../../src/csi/client.ts'
import { Controller, GroupController, Identity, Node } from '../../../src/csi/generated/csi/v1/csi_pb.js'
import { HttpLink } from '../../../src/node/http-link.ts'
import { BIN } from '../../cli/holdfast.ts'
import { needs } from '../../support/missing.ts'
import { tempDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { unmountAll } from '../docker/support/unmount-all.ts'
import { asking, MIB, mounted, refused } from './support/controller-world.ts'

const CALL = { deadlineMs: 30_000 }
const XFS = { capacityRange: { requiredBytes: 320n * MIB }, parameters: { fs: 'xfs' } }

needs('root', 'loop-devices').describe('the controller service on real storage', () => {
  const dir = tempDir()
  let dev: RunningDev
  let rest: HttpLink
  let apart: ChildProcess
  let said = ''
  const channels: GrpcChannel[] = []
  const connect = (socket: string) => {
    const channel = new GrpcChannel(socket)
    channels.push(channel)
    return channel
  }
  /** In the process of its own, and those of the nodes. */
  let controller: UnaryClient<typeof Controller>
  let onNode: UnaryClient<typeof Controller>
  const socket = join(dir.path, 'apart.sock')

  beforeAll(async () => {
    dev = await runDev({ dir: dir.path, nodes: 2, poolSizeMiB: 4096, docker: 'off', log: pino({ level: 'silent' }) })
    rest = new HttpLink({ api: dev.api, token: dev.token })
    const { secret } = await rest.rest<{ secret: string }>('POST', '/v1/tokens', { tokenRole: 'operator' })
    const tokenFile = join(dir.path, 'operator.token')
    writeFileSync(tokenFile, `${secret}\n`, { mode: 0o600 })
    const args = ['csi', 'controller', '--api', dev.api, '--token-file', tokenFile, '--socket', socket]
    apart = spawn(BIN, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    apart.stderr?.on('data', (chunk) => {
      said += chunk
    })
    await until(() => said.includes('csi.listening') || apart.exitCode !== null, {
      what: 'it to listen',
      deadlineMs: 20_000,
    })
    controller = connect(socket).client(Controller)
    onNode = connect(dev.nodes[0]?.csi ?? '').client(Controller)
  })
  afterAll(async () => {
    for (const channel of channels) channel.close()
    await rest?.close()
    const ended = once(apart, 'exit')
    if (apart.exitCode === null) {
      apart.kill('SIGTERM')
      await ended
    }
    await dev?.stop()
    unmountAll(dir.path)
    dir.remove()
  })

  const volume = (id: string) => rest.rest<Volume>('GET', `/v1/volumes/${id}`)
  const create = async (name: string, more: object = {}) =>
    (await controller.createVolume(asking(name, 16, more), CALL)).volume?.volumeId ?? ''
  const publish = async (volumeId: string, nodeId: string, service = controller): Promise<string> => {
    await service.controllerPublishVolume({ volumeId, nodeId, volumeCapability: mounted() }, CALL)
    const path = async () => (await volume(volumeId)).attachments.find((each) => each.state === 'mounted')?.path
    return until(path, { what: 'the mount', deadlineMs: 20_000 })
  }
  const unpublish = (volumeId: string, nodeId: string, service = controller) =>
    service.controllerUnpublishVolume({ volumeId, nodeId }, CALL)

  test('runs apart from the nodes, and says so', async () => {
    const identity = connect(socket).client(Identity)
    expect(await identity.probe({}, CALL)).toMatchObject({ ready: true })
    const { name } = await identity.getPluginInfo({}, CALL)
    const here = connect(dev.nodes[0]?.csi ?? '').client(Identity)
    expect((await here.getPluginInfo({}, CALL)).name).toBe(name)
    await refused(connect(socket).client(Node).nodeGetInfo({}, CALL), 'UNIMPLEMENTED')
  })

  test('takes a volume through its life: made, moved, grown, copied and deleted, with nothing left', async () => {
    // ext4 grows while it is mounted only with a capability that containers may lack
    const id = await create('life', XFS)
    const first = await publish(id, 'node-1')
    writeFileSync(join(first, 'hello'), 'from node-1')
    await refused(publish(id, 'node-2', onNode), 'FAILED_PRECONDITION', 'node-1')
    await unpublish(id, 'node-1', onNode)
    expect((await volume(id)).attachments).toEqual([])
    const second = await publish(id, 'node-2', onNode)
    expect(readFileSync(join(second, 'hello'), 'utf8')).toBe('from node-1')
    const before = statfsSync(second).blocks
    const range = { capacityRange: { requiredBytes: 640n * MIB } }
    const grown = await controller.controllerExpandVolume({ volumeId: id, ...range }, CALL)
    expect(grown).toMatchObject({ capacityBytes: 640n * MIB, nodeExpansionRequired: false })
    expect(statfsSync(second).blocks).toBeGreaterThan(1.5 * before)
    await unpublish(id, 'node-2')
    const { snapshot } = await controller.createSnapshot({ sourceVolumeId: id, name: 'shot' }, CALL)
    expect(snapshot?.readyToUse).toBe(true)
    const source = { type: { case: 'snapshot' as const, value: { snapshotId: snapshot?.snapshotId ?? '' } } }
    const copy = await create('copy', { volumeContentSource: source })
    expect(readFileSync(join(await publish(copy, 'node-1'), 'hello'), 'utf8')).toBe('from node-1')
    await unpublish(copy, 'node-1')
    for (const volumeId of [id, copy]) await controller.deleteVolume({ volumeId }, CALL)
    await controller.deleteSnapshot({ snapshotId: snapshot?.snapshotId ?? '' }, CALL)
    expect(objects()).toEqual([])
  })

  test('cuts several volumes at one moment', async () => {
    const groups = connect(socket).client(GroupController)
    const sourceVolumeIds = [await create('one'), await create('two')]
    const { groupSnapshot } = await groups.createVolumeGroupSnapshot({ name: 'both', sourceVolumeIds }, CALL)
    expect(groupSnapshot?.readyToUse).toBe(true)
    const { groupSnapshotId = '', snapshots = [] } = groupSnapshot ?? {}
    const snapshotIds = snapshots.map((each) => each.snapshotId)
    await groups.deleteVolumeGroupSnapshot({ groupSnapshotId, snapshotIds }, CALL)
    for (const volumeId of sourceVolumeIds) await controller.deleteVolume({ volumeId }, CALL)
    expect(objects()).toEqual([])
  })

  test('gives one volume to concurrent calls at several doors', async () => {
    const calls = [controller, onNode, controller, onNode].map((service) =>
      service.createVolume(asking('raced', 16), CALL),
    )
    const ids = (await Promise.all(calls)).map((each) => each.volume?.volumeId)
    expect(new Set(ids).size).toBe(1)
    expect(objects()).toHaveLength(1)
    await Promise.all([controller, onNode].map((service) => service.deleteVolume({ volumeId: ids[0] ?? '' }, CALL)))
    expect(objects()).toEqual([])
  })

  test('says what a filesystem is too small for, and keeps nothing of it', async () => {
    const xfs = { parameters: { fs: 'xfs' } }
    await refused(create('small', xfs), 'OUT_OF_RANGE', 'too small for xfs')
    await until(() => objects().length === 0, { what: 'it to be gone' })
    const { minimumVolumeSize = 0n } = await controller.getCapacity(xfs, CALL)
    const least = { ...asking('small', 1, xfs), capacityRange: { requiredBytes: minimumVolumeSize } }
    const { volume: made } = await controller.createVolume(least, CALL)
    await controller.deleteVolume({ volumeId: made?.volumeId ?? '' }, CALL)
  })

  function objects(): string[] {
    return readdirSync(join(dir.path, 'pool')).filter((each) => each.startsWith('hf-'))
  }
})

interface Volume {
  readonly attachments: readonly { readonly state: string; readonly path?: string }[]
}
