/** What is on a device: its signature by a low-level probe, and whether its beginning is all zero. */
import { HoldfastError } from '../model/errors.ts'
import type { Signature } from '../node/filesystems.ts'
import type { Programs } from './run.ts'

const PROBE_MS = 10_000
/** Every filesystem, volume manager and partition table that has a beginning writes something in here. */
const HEAD_BYTES = 1024 * 1024

/** blkid(8): nothing found; several signatures that contradict each other. */
const NOTHING = 2
const AMBIVALENT = 8

export async function probeDevice(programs: Programs, device: string, signal: AbortSignal): Promise<Signature> {
  const found = await blkid(programs, device, signal)
  // blkid answers "nothing" for a device that is absent or cannot be read, too. That is no proof of anything.
  if (found.type === undefined) await headIsZero(programs, device, signal)
  return found
}

/** @throws not_blank when there is any signature, or anything at all in the first MiB */
export async function requireBlank(programs: Programs, device: string, signal: AbortSignal): Promise<void> {
  const [found, zero] = await Promise.all([blkid(programs, device, signal), headIsZero(programs, device, signal)])
  if (found.type === undefined && zero) return
  const what = found.type === undefined ? 'data without a known signature' : `${found.type} ${found.uuid ?? ''}`.trim()
  const text = `${device} is not blank: it holds ${what}. Only a blank device is formatted`
  throw new HoldfastError('not_blank', text, { device, type: found.type, uuid: found.uuid })
}

async function blkid(programs: Programs, device: string, signal: AbortSignal): Promise<Signature> {
  const { code, stdout } = await programs.run('blkid', ['--probe', '--output', 'export', device], {
    signal,
    deadlineMs: PROBE_MS,
    accept: [0, NOTHING, AMBIVALENT],
  })
  if (code === AMBIVALENT) return { type: 'ambiguous', uuid: undefined }
  const fields = new Map(stdout.split('\n').map(splitField))
  return {
    type: fields.get('TYPE') ?? fields.get('PTTYPE'),
    uuid: fields.get('UUID') ?? fields.get('PTUUID'),
  }
}

function splitField(line: string): [string, string] {
  const at = line.indexOf('=')
  return at < 0 ? ['', line] : [line.slice(0, at), line.slice(at + 1)]
}

/** @throws storage_failed when the device cannot be read */
async function headIsZero(programs: Programs, device: string, signal: AbortSignal): Promise<boolean> {
  const args = ['--silent', `--bytes=${HEAD_BYTES}`, device, '/dev/zero']
  const { code, stderr } = await programs.run('cmp', args, { signal, deadlineMs: PROBE_MS, accept: [0, 1, 2] })
  if (code === 2) {
    throw new HoldfastError('storage_failed', `${device} cannot be read: ${stderr.trim() || 'is it there?'}`, {
      device,
    })
  }
  return code === 0
}
