/** Bytes on what a driver attached: at a place of a device, or in a file of a directory that is named by the place. */
import { closeSync, fsyncSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export function isDirectory(device: string): boolean {
  return statSync(device).isDirectory()
}

/** Writes and waits until it has reached the storage. */
export function writeTo(device: string, at: number, bytes: Uint8Array): void {
  if (isDirectory(device)) writeBytes(join(device, `at-${at}`), 'w', 0, bytes)
  else writeDevice(device, at, bytes)
}

export function readFrom(device: string, at: number, length: number): Buffer {
  return isDirectory(device) ? readDevice(join(device, `at-${at}`), 0, length) : readDevice(device, at, length)
}

/** Whether what can be seen of it from here is blank: a device's first MiB, all of a directory. */
export function looksBlank(device: string): boolean {
  // the root of a filesystem that was just made may have this one
  if (isDirectory(device)) return readdirSync(device).every((name) => name === 'lost+found')
  const first = readDevice(device, 0, 1024 * 1024)
  return first.equals(Buffer.alloc(first.length))
}

export function writeDevice(device: string, at: number, bytes: Uint8Array): void {
  writeBytes(device, 'r+', at, bytes)
}

export function readDevice(device: string, at: number, length: number): Buffer {
  const fd = openSync(device, 'r')
  try {
    const buffer = Buffer.alloc(length)
    return buffer.subarray(0, readSync(fd, buffer, 0, length, at))
  } finally {
    closeSync(fd)
  }
}

/** Writes, and looks at something before the bytes are flushed and the file is closed. */
export async function whileUnflushed<T>(device: string, bytes: Uint8Array, look: () => Promise<T>): Promise<T> {
  const fd = isDirectory(device) ? openSync(join(device, 'unflushed'), 'w') : openSync(device, 'r+')
  try {
    writeSync(fd, bytes, 0, bytes.length, 4096)
    return await look()
  } finally {
    closeSync(fd)
  }
}

function writeBytes(path: string, flags: 'w' | 'r+', at: number, bytes: Uint8Array): void {
  const fd = openSync(path, flags)
  try {
    writeSync(fd, bytes, 0, bytes.length, at)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
