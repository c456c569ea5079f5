/**
 * What the isolator volume/csi of Mesos does differently (1.11, src/csi/v1_volume_manager.cpp, csi_server.cpp).
 *
 * After a reboot its agent stages and publishes again what it had published before, and only then takes it back, since
 * no container is left. An error to that keeps the whole plugin from working on the agent until somebody removes a
 * file. But the volume may have moved. So a repeat of what was staged before and never unstaged, of a volume that is not
 * to be had, is answered with success, and an empty directory that nobody can write to.
 *
 * And it publishes at the same path again for each further container, read-only or not as that container wants it.
 */
import { basename, dirname } from 'node:path'
import type { ErrorCode, HoldfastError } from '../../model/errors.ts'
import type { StagedEntry } from '../../node/journal.ts'
import { isAbout } from './node-book.ts'

/** The volume is surely not to be had here. */
const ELSEWHERE: readonly ErrorCode[] = ['held_elsewhere', 'awaiting_proof', 'not_found', 'object_missing']
/** How long the agent's recovery may be kept waiting for a volume that nobody uses, ms. */
export const RECOVERY_MS = 15_000

/** Whether a path is one that Mesos makes: `<root>/<volume id, percent-encoded>/staging` or `…/target`. */
export function isMesosPath(volumeId: string, path: string, last: 'staging' | 'target'): boolean {
  return basename(path) === last && decoded(basename(dirname(path))) === volumeId
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** What was staged at a path that Mesos makes, never unstaged, and is now asked for again. */
export interface Repeat {
  readonly before: StagedEntry
  /** The machine was reset since: nobody is left who could be waiting for it. */
  readonly rebooted: boolean
}

export function mesosRepeat(
  asked: string,
  path: string,
  before: StagedEntry | undefined,
  bootId: string,
): Repeat | undefined {
  if (before === undefined || !isAbout(before, asked) || !isMesosPath(asked, path, 'staging')) return undefined
  return { before, rebooted: before.bootId !== bootId }
}

/** Whether a failure to have the volume again is to be answered with an empty directory. */
export function isHarmless({ rebooted }: Repeat, { code }: HoldfastError): boolean {
  return rebooted || ELSEWHERE.includes(code)
}

const PLACEHOLDER = 'holdfast-moved:'

/** What the kernel's table calls the empty directory. */
export function placeholderName(volumeId: string): string {
  return `${PLACEHOLDER}${volumeId}`
}

export function isPlaceholder(mount: { readonly type: string; readonly device: string }): boolean {
  return mount.type === 'tmpfs' && mount.device.startsWith(PLACEHOLDER)
}
