import type { Attachment } from '../../../src/model/attachment.ts'
import type { Makers } from './commands.ts'
import { isUp, sessionOf } from './commands-resources.ts'
import type { World } from './world.ts'

type Own = Pick<Makers, Extract<keyof Makers, `attachment.${string}`>>

/** Claims, reports and the proofs. */
export const ATTACHMENTS: Own = {
  'attachment.claim': (world) => {
    const { random } = world
    const held = random.chance(0.3) ? world.some('attachment') : undefined
    return {
      kind: 'attachment.claim',
      volumeId: held?.volumeId ?? world.id('volume', (volume) => volume.state === 'available'),
      nodeId: (random.chance(0.6) ? held?.nodeId : undefined) ?? world.id('node', isUp),
      user: user(world),
      mode: random.chance(0.5) ? 'rw' : 'ro',
      bandwidth: random.chance(0.8) ? undefined : random.int(0, 50),
      mountAt: random.chance(0.1) ? '/srv/here' : undefined,
    }
  },
  'attachment.unclaim': (world) => {
    const attachment = world.some('attachment', (each) => each.users.some((one) => one.door !== 'operation'))
    const one = world.random.pick(attachment?.users.filter((each) => each.door !== 'operation') ?? [])
    return {
      kind: 'attachment.unclaim',
      volumeId: attachment?.volumeId ?? 'vol-none',
      nodeId: attachment?.nodeId ?? 'node-none',
      user: one === undefined || world.random.chance(0.1) ? user(world) : { door: one.door, id: one.id },
    }
  },
  'attachment.report': (world) => {
    const { random } = world
    const provable = random.chance(0.6)
    const attachment = world.some('attachment', (each) => !provable || isGone(world, each))
    const node = attachment === undefined ? undefined : world.state.get('node', attachment.nodeId)
    return {
      kind: 'attachment.report',
      attachmentId: attachment?.id ?? 'att-none',
      epoch: (attachment?.epoch ?? 1) - (random.chance(0.05) ? 1 : 0),
      claims: Math.max(1, (attachment?.claims ?? 1) - (random.chance(0.05) ? 1 : 0)),
      nodeId: random.chance(0.04) ? world.id('node') : (node?.id ?? 'node-none'),
      bootId: random.chance(0.05) ? 'boot-old' : (node?.bootId ?? 'boot-none'),
      session: sessionOf(world, node),
      state: provable ? 'detached' : random.pick(['attached', 'mounted', 'mounted', 'stuck', 'detached']),
      path: random.chance(0.5) ? '/mnt/x' : undefined,
      reason: random.chance(0.3) ? 'device busy' : undefined,
    }
  },
  'attachment.force': (world) => ({
    kind: 'attachment.force',
    attachmentId: world.id('attachment', (each) => isLost(world, each) || each.state === 'stuck'),
    reason: 'the machine is scrap',
  }),
  'attachment.lease-ended': (world) => ({
    kind: 'attachment.lease-ended',
    attachmentId: world.id('attachment', (each) => isLost(world, each)),
  }),
}

function user(world: World): { door: string; id: string } {
  return { door: world.random.pick(['docker', 'csi', 'mesos']), id: `u${world.random.int(1, 6)}` }
}

/** Whether a word of its node would prove it gone. */
function isGone(world: World, attachment: Attachment): boolean {
  return attachment.users.length === 0 || world.state.get('node', attachment.nodeId)?.bootId !== attachment.bootId
}

export function isLost(world: World, attachment: Attachment): boolean {
  return world.state.get('node', attachment.nodeId)?.state === 'lost'
}
