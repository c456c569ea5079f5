import type { Volume } from '../model/volume.ts'
import type { Simulated } from './simulated.ts'
import type { StoredObject } from './storage.ts'

/** What is not yet, or not rightly, at rest; nothing when all is well. */
export function settled(simulated: Simulated): string[] {
  const wrong: string[] = []
  looseEnds(simulated, wrong)
  if (wrong.length > 0) return wrong
  attachments(simulated, wrong)
  devices(simulated, wrong)
  objects(simulated, wrong)
  leaks(simulated, wrong)
  return wrong
}

/** The same, and nothing that was ever made is left. */
export function emptied(simulated: Simulated): string[] {
  const wrong = settled(simulated)
  const { ledger, storage, foreign } = simulated
  for (const kind of ['volume', 'snapshot', 'hold', 'attachment'] as const) {
    for (const { id } of ledger.all(kind)) wrong.push(`${kind} ${id} is left`)
  }
  const theirs = new Set(foreign.map(({ name }) => name))
  for (const poolId of storage.poolIds) {
    for (const { name, late } of storage.objects(poolId)) {
      if (!late && !theirs.has(name)) wrong.push(`object ${name} is left`)
    }
  }
  return wrong
}

function looseEnds(simulated: Simulated, wrong: string[]): void {
  const { hosts, machines, ledger, workload } = simulated
  if (hosts.filter((host) => host.leads).length !== 1) wrong.push('there is no single leader')
  if (!workload.quiet) wrong.push(`${workload.open} requests are open`)
  for (const machine of machines) if (machine.daemon?.connected !== true) wrong.push(`${machine.name} is not connected`)
  for (const node of ledger.all('node')) if (node.state !== 'up') wrong.push(`${node.name} is ${node.state}`)
  openOperations(simulated, wrong)
  for (const { id, state, reason } of ledger.all('attachment')) {
    if (state !== 'attached' && state !== 'mounted') wrong.push(`attachment ${id} is ${state}: ${reason}`)
  }
  const due = ledger.at - 30_000
  if (ledger.all('volume').some(({ state, purgeAt }) => state === 'trash' && (purgeAt ?? 0) < due))
    wrong.push('trash is left')
  if (ledger.all('hold').some(({ expiresAt }) => expiresAt !== undefined && expiresAt < due))
    wrong.push('a hold is left')
  for (const { id, state } of ledger.all('group')) if (state === 'pending') wrong.push(`group ${id} is pending`)
}

function openOperations({ ledger, workload }: Simulated, wrong: string[]): void {
  const inUse = new Set(ledger.all('attachment').flatMap(({ volumeId, users }) => (users.length > 0 ? [volumeId] : [])))
  for (const { id, state, kind, step, attempt, fault, subject, source } of ledger.all('operation')) {
    if (state !== 'pending' && state !== 'running') continue
    // what needs its volume idle waits for those who use it
    const waits = state === 'pending' && (inUse.has(subject.id) || inUse.has(source?.id ?? ''))
    if (waits && workload.containers.size > 0) continue
    wrong.push(`operation ${id} (${kind}, ${step}, attempt ${attempt}) is ${state}: ${fault?.message}`)
  }
}

/** Users in the ledger and containers are the same; so are attachments and devices. */
function attachments({ ledger, machines, workload }: Simulated, wrong: string[]): void {
  const expected = new Map<string, string>()
  for (const { user, volumeId, machine } of workload.containers) expected.set(user.id, `${machine.nodeId} ${volumeId}`)
  for (const attachment of ledger.all('attachment')) {
    const { id, nodeId, volumeId, users } = attachment
    const kernel = machines.find((machine) => machine.nodeId === nodeId)?.kernel
    const volume = ledger.get('volume', volumeId)
    const device = volume === undefined ? undefined : kernel?.deviceOf(volume.poolId, volume.object)
    if (device === undefined || device.fenced) wrong.push(`attachment ${id} has no device`)
    for (const user of users) {
      if (expected.get(user.id) !== `${nodeId} ${volumeId}`) wrong.push(`attachment ${id}: nobody is ${user.id}`)
      expected.delete(user.id)
    }
  }
  for (const [id, where] of expected) wrong.push(`container ${id} uses ${where}, and the ledger does not know`)
}

function devices({ ledger, machines }: Simulated, wrong: string[]): void {
  for (const { kernel, name, nodeId } of machines) {
    for (const { object, readOnly } of kernel.devices.values()) {
      const volume = ledger.volumeOf(object.poolId, object.name)
      const attachment = volume === undefined ? undefined : ledger.attachmentOf(volume.id, nodeId)
      if (attachment === undefined) wrong.push(`${name} has ${object.name} attached for nothing`)
      else if ((attachment.mode === 'ro') !== readOnly) wrong.push(`${name} has ${object.name} attached otherwise`)
    }
    for (const mount of kernel.mounts.values()) {
      if (mount.frozen) wrong.push(`${name} left ${mount.device.object.name} frozen`)
      if (mount.shut) wrong.push(`${name} left ${mount.device.object.name} stopped`)
    }
  }
}

/** Every record has its object. */
function objects({ ledger, storage }: Simulated, wrong: string[]): void {
  for (const volume of ledger.all('volume')) {
    if (volume.state === 'missing') wrong.push(`volume ${volume.name} counts as missing`)
    if (volume.state !== 'available' && volume.state !== 'trash') continue
    const object = storage.find(volume.poolId, volume.object)
    if (object === undefined) wrong.push(`volume ${volume.name} has no object`)
    else wrong.push(...compare(volume, object).map((what) => `volume ${volume.name} ${what}`))
  }
  for (const snapshot of ledger.all('snapshot')) {
    if (snapshot.state !== 'available') continue
    const object = storage.find(snapshot.poolId, snapshot.object)
    if (object === undefined) wrong.push(`snapshot ${snapshot.name} has no object`)
    else if (object.torn) wrong.push(`snapshot ${snapshot.name} was taken while somebody wrote`)
  }
}

function compare(volume: Volume, { content, sizeMiB, torn }: StoredObject): string[] {
  const wrong: string[] = []
  if (torn) wrong.push('is a copy of something that was being written')
  // a grow that waits, or failed, leaves more counted than is there
  const known = Math.min(volume.sizeMiB, volume.realSizeMiB ?? volume.sizeMiB)
  if (sizeMiB < known) wrong.push(`has ${sizeMiB} of ${known} MiB`)
  if (volume.fs === 'raw' || volume.format.state !== 'formatted') return wrong
  if (content.kind !== 'fs' || content.uuid !== volume.format.uuid || content.type !== volume.fs) {
    wrong.push(`holds ${JSON.stringify(content)}, not ${JSON.stringify(volume.format)}`)
  }
  return wrong
}

/** Every object of ours has its record, and no filesystem is there twice. */
function leaks({ ledger, storage, foreign }: Simulated, wrong: string[]): void {
  const theirs = new Set(foreign.map(({ poolId, name }) => `${poolId}/${name}`))
  const uuids = new Map<string, string>()
  for (const poolId of storage.poolIds) {
    for (const { name, content, late } of storage.objects(poolId)) {
      const owner = ledger.ownerOf(poolId, name)
      if (owner === undefined && !theirs.has(`${poolId}/${name}`) && !late) wrong.push(`object ${name} is nobody's`)
      if (content.kind !== 'fs' || owner === undefined || !('format' in owner)) continue
      if (owner.state !== 'available' || owner.fs === 'raw') continue
      const twin = uuids.get(content.uuid)
      if (twin !== undefined) wrong.push(`${name} and ${twin} have one UUID`)
      uuids.set(content.uuid, name)
    }
  }
}
