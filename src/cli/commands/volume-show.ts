import { HoldfastError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import type { Query } from '../client.ts'
import { ageOf, bothSizes, formatAge, formatLabels, yesNo } from '../format.ts'
import { note } from '../terminal.ts'
import type { VolumeView } from '../views.ts'
import { waitForWork } from '../wait.ts'

/** Asks for slow work on a volume, waits for it unless told not to, and shows what became of the volume. */
export async function changeVolume(
  cli: Cli,
  options: { readonly wait?: boolean },
  method: 'POST' | 'DELETE',
  path: string,
  body?: unknown,
  query?: Query,
): Promise<void> {
  const { client } = cli
  const started = (await client.change<{ volume: VolumeView; operation?: string }>(method, path, body, query)).body
  const { id, name } = started.volume
  if (started.operation !== undefined && options.wait === false) {
    note(`follow it with: holdfast operation wait ${started.operation}\n`)
    return showVolume(cli, started.volume)
  }
  if (started.operation !== undefined) await waitForWork(client, started.operation, `/v1/volumes/${id}`, name)
  const now = await currentOf(cli, id)
  if (now !== undefined) return showVolume(cli, now)
  await cli.out.text(started.volume, `volume ${name} ${path.endsWith('/release') ? 'released' : 'deleted'}\n`)
}

async function currentOf(cli: Cli, id: string): Promise<VolumeView | undefined> {
  try {
    return await cli.client.get<VolumeView>(`/v1/volumes/${id}`)
  } catch (thrown) {
    if (thrown instanceof HoldfastError && thrown.code === 'not_found') return undefined
    throw thrown
  }
}

export async function showVolume(cli: Cli, volume: VolumeView): Promise<void> {
  const { fault, trashSecondsLeft } = volume
  await cli.out.one(volume, [
    ['name', volume.name],
    ['id', volume.id],
    ['state', volume.state],
    ['size', bothSizes(volume.sizeMiB)],
    ['iops', volume.iops === 0 ? 'none set aside' : `${volume.iops} (${volume.iopsEnforced})`],
    ['filesystem', volume.fs],
    ['access', volume.access],
    ['role', volume.role],
    ['pool', volume.pool],
    ['object', volume.object],
    ['source', volume.source && `${volume.source.kind} ${volume.source.id}`],
    ['protected', yesNo(volume.protected)],
    ['labels', formatLabels(volume.labels)],
    ['group', volume.groupId],
    ['holds', volume.draws?.map((each) => each.holdId).join(', ')],
    ['bandwidth', volume.bandwidth === 0 ? undefined : volume.bandwidth],
    ['purged in', trashSecondsLeft === undefined ? undefined : formatAge(trashSecondsLeft)],
    ...volume.attachments.map((each) => ['used on', usedOn(each)] as const),
    ['operations', volume.operations.join(', ') || undefined],
    ['fault', fault && `${fault.code}: ${fault.message}`],
    ['next', fault?.next],
    ['created by', volume.createdBy],
    ['age', ageOf(volume.createdAt)],
  ])
}

function usedOn(each: VolumeView['attachments'][number]): string {
  const where = each.path === undefined ? '' : ` at ${each.path}`
  const why = each.reason === undefined ? '' : `: ${each.reason}`
  return `${each.node} (${each.mode}, ${each.state} ${formatAge(each.ageSeconds)}${why})${where}`
}
