/**
 * The iSCSI target daemon `tgt`, administered by tgtadm(8) through its control socket. Targets live in the daemon's
 * memory only: after a restart of it there are none. It works on one request after the other, so what it answers is
 * what was so at one moment.
 */
import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import type { Programs } from './run.ts'

const CALL_MS = 10_000
/** A target that is deleted waits for the requests that its disks still work on. */
const DELETE_MS = 30_000
const AGAIN_MS = 50
/** Seconds between two questions, and how many may go unanswered. */
const NOP: readonly [name: string, value: string][] = [
  ['nop_interval', '5'],
  ['nop_count', '3'],
]
const HIGHEST_TID = 2 ** 31 - 1
/** The output of a program is kept up to 1 MiB; a listing that long may have lost its beginning. */
const LISTING_LIMIT = 1024 * 1024 - 4096

export interface Lun {
  readonly lun: number
  readonly path: string
  readonly readOnly: boolean
}

export interface Target {
  readonly tid: number
  readonly name: string
  /** Names of the initiators that may log in. */
  readonly allowed: readonly string[]
  /** Names of the initiators that are logged in. */
  readonly sessions: readonly string[]
  readonly luns: readonly Lun[]
}

export class Tgt {
  private readonly programs: Programs
  private readonly control: string

  /** @param control path of the control socket, which ends with `.N`, the number of the control port */
  constructor(programs: Programs, control: string) {
    this.programs = programs
    this.control = control
  }

  /** All targets, whoever made them. @throws storage_failed, storage_timeout */
  async targets(signal: AbortSignal): Promise<Target[]> {
    const listing = await this.admin(['--op', 'show', '--mode', 'target'], signal)
    if (listing.length > LISTING_LIMIT) {
      throw new HoldfastError('storage_failed', `tgtd (${this.control}) has more targets than can be listed`)
    }
    return parseTargets(listing)
  }

  /** Makes a target that nobody may log in to yet. @returns its number; undefined when the name is taken */
  async newTarget(name: string, signal: AbortSignal): Promise<number | undefined> {
    for (;;) {
      const tid = randomInt(1, HIGHEST_TID)
      const words = ['--op', 'new', '--mode', 'target', '--tid', String(tid), '--targetname', name]
      if ((await this.admin(words, signal, /already exists/)) !== undefined) {
        await this.watch(tid, signal)
        return tid
      }
      const taken = (await this.targets(signal)).some((target) => target.name === name)
      if (taken) return undefined
    }
  }

  /** Lets sessions end whose initiator does not answer, such as one whose machine is gone. */
  private async watch(tid: number, signal: AbortSignal): Promise<void> {
    for (const [name, value] of NOP) {
      const words = ['--op', 'update', '--mode', 'target', '--tid', String(tid), '--name', name, '--value', value]
      await this.admin(words, signal)
    }
  }

  /** Opens a file as a disk of a target; its size is read now and then stays. */
  async newLun(tid: number, { lun, path, readOnly }: Lun, signal: AbortSignal): Promise<void> {
    const disk = ['--mode', 'logicalunit', '--tid', String(tid), '--lun', String(lun)]
    await this.admin(['--op', 'new', ...disk, '--backing-store', path], signal)
    // thin: what is discarded becomes a hole in the file
    const params = `thin_provisioning=1,readonly=${readOnly ? 1 : 0}`
    await this.admin(['--op', 'update', ...disk, '--params', params], signal)
  }

  /** Closes a disk; one that is not there is a success. */
  async deleteLun(tid: number, lun: number, signal: AbortSignal): Promise<void> {
    const words = ['--op', 'delete', '--mode', 'logicalunit', '--tid', String(tid), '--lun', String(lun)]
    await this.admin(words, signal, /can't find/)
  }

  /** Lets an initiator in. */
  async allow(tid: number, initiator: string, signal: AbortSignal): Promise<void> {
    const words = ['--op', 'bind', '--mode', 'target', '--tid', String(tid), '--initiator-name', initiator]
    await this.admin(words, signal, /already exists/)
  }

  /**
   * Ends a target with its sessions and disks; one that is not there is a success. When it returns, nothing that was
   * asked of its disks is worked on any more: closing them waits for that.
   */
  async deleteTarget(tid: number, signal: AbortSignal): Promise<void> {
    const words = ['--op', 'delete', '--force', '--mode', 'target', '--tid', String(tid)]
    const end = performance.now() + DELETE_MS
    for (;;) {
      const answer = await this.admin(words, signal, /can't find|still active/)
      if (answer !== undefined) return
      if (!(await this.targets(signal)).some((target) => target.tid === tid)) return
      if (performance.now() > end) {
        throw new HoldfastError('storage_timeout', `tgtd (${this.control}) did not let go of target ${tid}`, { tid })
      }
      await delay(AGAIN_MS)
    }
  }

  /** @returns what it printed; undefined when it failed with words that are `harmless` */
  private async admin(words: readonly string[], signal: AbortSignal): Promise<string>
  private async admin(words: readonly string[], signal: AbortSignal, harmless: RegExp): Promise<string | undefined>
  private async admin(words: readonly string[], signal: AbortSignal, harmless?: RegExp): Promise<string | undefined> {
    if (!this.programs.installed('tgtadm')) {
      const text = 'The program tgtadm is not installed on this node; on Debian it comes with the package tgt'
      throw new HoldfastError('storage_failed', text, { program: 'tgtadm' })
    }
    const [, path = '', port = '0'] = /^(.*)\.(\d+)$/.exec(this.control) ?? []
    const { code, stdout, stderr } = await this.programs.run(
      'env',
      [`TGT_IPC_SOCKET=${path}`, 'tgtadm', '--control-port', port, '--lld', 'iscsi', ...words],
      { signal, deadlineMs: CALL_MS, accept: Array.from({ length: 125 }, (_, exit) => exit) },
    )
    if (code === 0) return stdout
    if (harmless?.test(stderr)) return undefined
    const line = stderr.replace(/^tgtadm: /, '').trim()
    const why = /failed to send request|can't connect/.test(stderr)
      ? `tgtd does not answer on ${this.control}: ${line}`
      : `tgtadm ${words.slice(0, 4).join(' ')} failed on ${this.control}: ${line || `exit ${code}`}`
    throw new HoldfastError('storage_failed', why, { program: 'tgtadm', exit: code, output: stderr.slice(-4096) })
  }
}

/** What `tgtadm --op show --mode target` prints (tgt 1.0.85), by its headings. */
export function parseTargets(text: string): Target[] {
  return text.split(/^(?=Target \d+: )/m).flatMap((block) => parseTarget(block) ?? [])
}

function parseTarget(block: string): Target | undefined {
  const [, tid, name] = /^Target (\d+): (.*)$/m.exec(block) ?? []
  if (tid === undefined || name === undefined) return undefined
  const sections = new Map(
    block.split(/^ {4}(?=\S)/m).map((section) => {
      const [heading = '', ...lines] = section.split('\n')
      return [heading, lines.join('\n')]
    }),
  )
  const nexus = sections.get('I_T nexus information:') ?? ''
  return {
    tid: Number(tid),
    name,
    allowed: (sections.get('ACL information:') ?? '').split('\n').flatMap((line) => line.trim() || []),
    sessions: [...nexus.matchAll(/^ +Initiator: (\S+)/gm)].map(([, initiator = '']) => initiator),
    luns: (sections.get('LUN information:') ?? '').split(/^ {8}(?=LUN: )/m).flatMap((lun) => parseLun(lun) ?? []),
  }
}

/** A controller, which every target has as LUN 0, has no path. */
function parseLun(text: string): Lun | undefined {
  const lun = Number(/^LUN: (\d+)/.exec(text)?.[1])
  const path = /^ +Backing store path: (.*)$/m.exec(text)?.[1]
  if (!Number.isSafeInteger(lun) || path === undefined || path === 'None') return undefined
  return { lun, path, readOnly: /^ +Readonly: Yes$/m.test(text) }
}
