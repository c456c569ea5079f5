import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'
import { type Cli, run } from '../cli.ts'
import { part } from '../client.ts'
import type { AttachmentView, VolumeView } from '../views.ts'
import { untilDone } from '../wait.ts'
import { showAttachment } from './attachment.ts'
import { oneOf, rate, slow } from './options.ts'

interface AttachOptions {
  readonly node: string
  readonly user?: string
  readonly mode?: string
  readonly mountAt?: string
  readonly bandwidth?: number
  readonly wait?: boolean
}

interface DetachOptions {
  readonly node?: string
  readonly user?: string
  readonly wait?: boolean
}

export function defineAttach(noun: Command): void {
  slow(noun.command('attach <volume>').description('attach and mount a volume on a node'))
    .requiredOption('--node <node>', 'where')
    .option('--user <id>', 'for whom it is held; yourself if not given')
    .addOption(oneOf('--mode <mode>', 'writing or only reading', ['rw', 'ro']))
    .option('--mount-at <path>', "a mount point under one of the node's allowed roots")
    .option('--bandwidth <amount>', "storage bandwidth it takes, in the node's unit", rate('--bandwidth'))
    .action(run<AttachOptions>(attach))
  slow(noun.command('detach <volume>').description('give a volume back that was attached with `volume attach`'))
    .option('--node <node>', 'where, if it is attached on several')
    .option('--user <id>', 'for whom it was held; yourself if not given')
    .action(run<DetachOptions>(detach))
}

async function attach(cli: Cli, options: AttachOptions, volume = ''): Promise<void> {
  const { node, user, mode, mountAt, bandwidth } = options
  const body = { volume, node, user: user === undefined ? undefined : { id: user }, mode, mountAt, bandwidth }
  const { attachment } = (await cli.client.change<{ attachment: AttachmentView }>('POST', '/v1/attachments', body)).body
  if (options.wait === false) return showAttachment(cli, attachment)
  const raw = (await cli.client.get<VolumeView>(`/v1/volumes/${attachment.volumeId}`)).fs === 'raw'
  const ended = await untilDone(async () => {
    const now = await current(cli, attachment.id)
    if (now === undefined) throw new HoldfastError('cancelled', `volume ${volume} was detached before it was mounted`)
    if (now.state === 'stuck')
      throw new HoldfastError('stuck', `volume ${volume} on ${now.node}: ${now.reason ?? 'stuck'}`)
    return now.state === 'mounted' || (raw && now.state === 'attached') ? now : undefined
  }, `holdfast attachment show ${attachment.id}`)
  await showAttachment(cli, ended)
}

async function detach(cli: Cli, options: DetachOptions, volume = ''): Promise<void> {
  const { node, user } = options
  const found = await cli.client.list<AttachmentView>('/v1/attachments', { volume, node })
  const [attachment] = found
  if (attachment === undefined) {
    const where = node === undefined ? 'anywhere' : `on ${node}`
    throw new HoldfastError('not_found', `volume ${quote(volume)} is not attached ${where}`)
  }
  if (found.length > 1) {
    const nodes = found.map((each) => each.node).join(', ')
    throw new HoldfastError('invalid_option', `volume ${volume} is attached on ${nodes}; say which with --node`)
  }
  const body = user === undefined ? {} : { user: { id: user } }
  const path = `/v1/attachments/${part(attachment.id)}/release`
  const released = (await cli.client.change<{ attachment: AttachmentView }>('POST', path, body)).body.attachment
  if (options.wait !== false && released.users.length === 0) {
    await untilDone(async () => {
      const now = await current(cli, attachment.id)
      if (now?.state === 'stuck')
        throw new HoldfastError('stuck', `volume ${volume} on ${now.node}: ${now.reason ?? 'stuck'}`)
      return now === undefined || now.users.length > 0 ? true : undefined
    }, `holdfast attachment show ${attachment.id}`)
  }
  const left = released.users.length === 0 ? '' : `; ${released.users.length} others still use it there`
  await cli.out.text(released, `volume ${attachment.volume} detached from ${attachment.node}${left}\n`)
}

async function current(cli: Cli, id: string): Promise<AttachmentView | undefined> {
  try {
    return await cli.client.get<AttachmentView>(`/v1/attachments/${part(id)}`)
  } catch (thrown) {
    if (thrown instanceof HoldfastError && thrown.code === 'not_found') return undefined
    throw thrown
  }
}
