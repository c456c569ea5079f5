/** Data on volumes and in files, and whether it is still what it was. */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, readSync, statfsSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

const MIB = 1024 * 1024

/** Writes a file of 2 MiB into a directory and makes it durable. */
export function putData(directory: string, seed = 'holdfast'): void {
  const file = openSync(join(directory, 'data'), 'w')
  try {
    writeSync(file, Buffer.alloc(2 * MIB, seed))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Whether the file is there, whole and unchanged. */
export function hasData(directory: string, seed = 'holdfast'): boolean {
  return readFileSync(join(directory, 'data')).equals(Buffer.alloc(2 * MIB, seed))
}

/** SHA-256 of a whole file, holes included. */
export function sha256(path: string): string {
  const hash = createHash('sha256')
  const file = openSync(path, 'r')
  const buffer = Buffer.alloc(4 * MIB)
  for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) {
    hash.update(buffer.subarray(0, count))
  }
  closeSync(file)
  return hash.digest('hex')
}

/** The label that LVM writes into the second sector of a physical volume; to blkid(8) it is one only with its checksum. */
export function lvmHeader(): Buffer {
  const sector = Buffer.alloc(512)
  sector.write('LABELONE', 0)
  sector.writeBigUInt64LE(1n, 8)
  sector.writeUInt32LE(32, 20)
  sector.write('LVM2 001', 24)
  sector.write('abcdefghijklmnopqrstuvwxyzABCDEF', 32)
  let crc = 0xf597a6cf
  for (const byte of sector.subarray(20)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  sector.writeUInt32LE(crc >>> 0, 16)
  return sector
}

/** Takes all of a filesystem but so many MiB. */
export function fillUp(path: string, leaveMiB: number): void {
  const { bavail, bsize } = statfsSync(dirname(path))
  const count = Math.floor((bavail * bsize) / MIB) - leaveMiB
  const file = openSync(path, 'w')
  for (let written = 0; written < count; written++) writeSync(file, Buffer.alloc(MIB, 1))
  fsyncSync(file)
  closeSync(file)
}
