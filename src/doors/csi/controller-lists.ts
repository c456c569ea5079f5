import type { MessageInitShape } from '@bufbuild/protobuf'
import type {
  ListSnapshotsRequest,
  ListSnapshotsResponseSchema,
  ListVolumesRequest,
  ListVolumesResponseSchema,
} from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import { asHoldfastError } from '../../model/errors.ts'
import { isLeaving, type Ledger, type Page, type ShownSnapshot, type ShownVolume } from './controller-ledger.ts'
import { csiSnapshot, csiStatus, csiVolume } from './controller-show.ts'
import { badField, checkText } from './fields.ts'

/** Entries of one answer at most: gRPC clients take 4 MiB, and an entry may have 2 KiB. */
const MOST = 1000

/** What a page is asked for with. */
interface Asked {
  readonly maxEntries: number
  readonly startingToken: string
}

/** Where a page begins: in the list of one role. */
interface Place {
  readonly role: string
  readonly cursor: string | undefined
}

/** ListVolumes: those of the door's roles, role by role. */
export async function listVolumes(
  ledger: Ledger,
  request: ListVolumesRequest,
): Promise<MessageInitShape<typeof ListVolumesResponseSchema>> {
  const { items, nextToken } = await pages(request, ledger.roles, (place, limit) =>
    ledger.get<Page<ShownVolume>>(`/v1/volumes?role=${encodeURIComponent(place.role)}${query(place, limit)}`),
  )
  const shown = items.filter((volume) => !isLeaving(volume))
  return { entries: shown.map((volume) => ({ volume: csiVolume(volume), status: csiStatus(volume) })), nextToken }
}

/** ListSnapshots: those that are cut. */
export async function listSnapshots(
  ledger: Ledger,
  request: ListSnapshotsRequest,
): Promise<MessageInitShape<typeof ListSnapshotsResponseSchema>> {
  const { snapshotId, sourceVolumeId } = request
  checkText('snapshot_id', snapshotId)
  checkText('source_volume_id', sourceVolumeId)
  const mayShow = (snapshot: ShownSnapshot) => ledger.roles.includes(snapshot.role) && snapshot.state === 'available'
  const entries = (found: readonly ShownSnapshot[]) => found.map((each) => ({ snapshot: csiSnapshot(each) }))
  if (snapshotId !== '') {
    limitOf(request)
    const found = await ledger.snapshot(snapshotId)
    const wanted = found !== undefined && (sourceVolumeId === '' || found.volumeId === sourceVolumeId)
    return { entries: entries(wanted && mayShow(found) ? [found] : []) }
  }
  const of = sourceVolumeId === '' ? '' : `&volume=${encodeURIComponent(sourceVolumeId)}`
  const { items, nextToken } = await pages(request, ['*'], (place, limit) =>
    ledger.get<Page<ShownSnapshot>>(`/v1/snapshots?${query(place, limit).slice(1)}${of}`),
  )
  // a name finds snapshots there, too
  const wanted = items.filter((each) => sourceVolumeId === '' || each.volumeId === sourceVolumeId)
  return { entries: entries(wanted.filter(mayShow)), nextToken }
}

function query({ cursor }: Place, limit: number): string {
  return `&limit=${limit}${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`
}

/** As many as were asked for and are left, through the lists of all roles. @throws ABORTED for a bad token */
async function pages<T>(
  request: Asked,
  roles: readonly string[],
  page: (place: Place, limit: number) => Promise<Page<T>>,
): Promise<{ items: T[]; nextToken: string }> {
  const limit = limitOf(request)
  const items: T[] = []
  let place: Place | undefined = readToken(request.startingToken, roles)
  while (place !== undefined && items.length < limit) {
    const found: Page<T> = await page(place, limit - items.length).catch((thrown) => {
      const error = asHoldfastError(thrown)
      throw error.code === 'invalid_cursor' ? badToken() : error
    })
    items.push(...found.items)
    place = found.next === undefined ? following(roles, place.role) : { role: place.role, cursor: found.next }
  }
  return { items, nextToken: place === undefined ? '' : writeToken(place, roles) }
}

function following(roles: readonly string[], role: string): Place | undefined {
  const next = roles[roles.indexOf(role) + 1]
  return next === undefined ? undefined : { role: next, cursor: undefined }
}

/** @throws INVALID_ARGUMENT */
function limitOf({ maxEntries }: Asked): number {
  if (maxEntries < 0) throw badField('max_entries', 'it is negative')
  return maxEntries === 0 ? MOST : Math.min(maxEntries, MOST)
}

/** Short, as texts must be: which role, and where in its list; the cursor knows itself whether it is of that list. */
function writeToken({ role, cursor = '' }: Place, roles: readonly string[]): string {
  return `${roles.indexOf(role)}.${cursor}`
}

function readToken(token: string, roles: readonly string[]): Place {
  const [, index, cursor = ''] = (token === '' ? '0.' : token).match(/^(\d{1,4})\.([\w-]{0,120})$/) ?? []
  const role = roles[Number(index)]
  if (role === undefined) throw badToken()
  return { role, cursor: cursor === '' ? undefined : cursor }
}

function badToken(): GrpcError {
  return new GrpcError('ABORTED', 'starting_token: not one of ours, or of other filters; start without one')
}
