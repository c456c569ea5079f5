/** Throw-away GlusterFS clusters with one volume, of real daemons. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { dirname, join } from 'node:path'
import { GlusterPeer } from './gluster-peer.ts'
import { until } from './until.ts'

/** Programs that it needs, for `needs(...)`. */
export const GLUSTER_NEEDS = [
  'root',
  'loop-devices',
  'glusterd',
  'glusterfs',
  'unshare',
  'nsenter',
  'mkfs.xfs',
] as const
export const VOLUME = 'pool'

/** A server on an address of its own on loopback, with a volume of one brick. @param brick on a filesystem of its own */
export async function startServer(dir: string, brick: string): Promise<GlusterPeer> {
  const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`
  const peer = new GlusterPeer({ dir, address, keep: dirname(brick) })
  try {
    await peer.start()
    await makeVolume(peer, [`${address}:${brick}`], [])
    return peer
  } catch (thrown) {
    await peer.dispose()
    throw thrown
  }
}

async function makeVolume(peer: GlusterPeer, bricks: readonly string[], kind: readonly string[]): Promise<void> {
  await peer.gluster('volume', 'create', VOLUME, ...kind, ...bricks, 'force')
  // full is when the disk is full, and not for five seconds more
  for (const option of ['network.ping-timeout=5', 'storage.reserve=0']) {
    await peer.gluster('volume', 'set', VOLUME, ...option.split('='))
  }
  await peer.gluster('volume', 'start', VOLUME)
}

/** Three machines on a bridge that nobody else is on, with a volume of two copies and an arbiter. */
export class GlusterMachines {
  readonly peers: readonly GlusterPeer[]
  readonly #bridge: ChildProcess

  private constructor(bridge: ChildProcess, peers: readonly GlusterPeer[]) {
    this.#bridge = bridge
    this.peers = peers
  }

  static async start(dir: string): Promise<GlusterMachines> {
    const script = 'ip link add br0 type bridge && ip link set br0 up && echo ready && exec sleep infinity'
    const bridge = spawn('unshare', ['--net', 'sh', '-c', script], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    bridge.stdout.on('data', (chunk) => {
      said += chunk
    })
    const pid = Number(bridge.pid)
    const peers = [1, 2, 3].map(
      (n) => new GlusterPeer({ dir: join(dir, `m${n}`), address: `10.77.0.${n}`, bridge: pid }),
    )
    const machines = new GlusterMachines(bridge, peers)
    try {
      await until(() => said.includes('ready'), { what: 'the bridge' })
      await Promise.all(peers.map((peer) => peer.start()))
      await machines.#join()
      return machines
    } catch (thrown) {
      await machines.dispose()
      throw thrown
    }
  }

  async #join(): Promise<void> {
    const [first, ...others] = this.peers as [GlusterPeer, ...GlusterPeer[]]
    for (const { options } of others) await first.gluster('peer', 'probe', options.address)
    const joined = async () => (await first.gluster('peer', 'status')).split('Peer in Cluster (Connected)').length === 3
    await until(joined, { what: 'the peers to be joined', deadlineMs: 20_000, everyMs: 100 })
    const bricks = this.peers.map((peer) => `${peer.options.address}:${join(peer.bricks, 'b')}`)
    await makeVolume(first, bricks, ['replica', '3', 'arbiter', '1'])
  }

  async dispose(): Promise<void> {
    await Promise.all(this.peers.map((peer) => peer.dispose()))
    this.#bridge.kill('SIGKILL')
  }
}
