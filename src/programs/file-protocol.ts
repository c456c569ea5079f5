/**
 * What a file worker can be asked to do in the directory of a pool. Every call names the pool, and every call except
 * `mark` reads the marker first, in the same process and directly before it acts.
 */
import type { ErrorCode } from '../model/errors.ts'

/** A pool kept in a directory. */
export interface PoolDirectory {
  readonly directory: string
  /** `type~instance~pool`, for messages and the marker. */
  readonly name: string
  readonly uuid: string
  readonly installation: string
}

/** Where a pool really is. */
export interface Place {
  /** Without symbolic links: the kernel names backing files by it. */
  readonly directory: string
  /** As in `FileFacts`. */
  readonly filesystem: string
}

/** An object's file. */
export interface FileFacts {
  readonly object: string
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Units of 512 bytes that the file takes. */
  readonly blocks: number
  /** `MAJOR:MINOR` of the filesystem, as the kernel writes it in /sys and losetup prints it. */
  readonly filesystem: string
  readonly inode: string
  /** Hard links: more than one means that the file may be attached under another name. */
  readonly links: number
}

/** What the directory's filesystem can do, found by trying it on a file of no length. */
export interface DirectoryAbilities {
  readonly reflink: boolean
  /** The largest file in MiB. */
  readonly maxFileMiB: number
}

export interface DirectoryFacts {
  readonly sizeMiB: number
  readonly freeMiB: number
  /** Identifies what is mounted there: abilities must be found anew when it changes. */
  readonly filesystem: string
}

/** A copy that the filesystem cannot make at once: bytes have to be moved from `from` to `to`. */
export interface SlowCopy {
  readonly from: string
  readonly to: string
  /** Bytes that the source really takes. */
  readonly bytes: number
}

export interface FileOperations {
  look(pool: PoolDirectory): Promise<DirectoryFacts>
  /** undefined: the directory cannot be written to now (full, read-only), so nothing could be tried. */
  abilities(pool: PoolDirectory): Promise<DirectoryAbilities | undefined>
  mark(pool: PoolDirectory): Promise<void>
  list(pool: PoolDirectory): Promise<Place & { files: FileFacts[] }>
  stat(pool: PoolDirectory, object: string): Promise<Place & { file?: FileFacts }>
  /** Makes a sparse file. False: there is one of that name, left as it is. */
  create(pool: PoolDirectory, object: string, sizeMiB: number): Promise<boolean>
  /** Whether the file takes no block at all, after everything written to the devices on it has reached it. */
  blank(pool: PoolDirectory, object: string, devices: readonly string[]): Promise<boolean>
  remove(pool: PoolDirectory, object: string): Promise<void>
  /** Makes the file larger; a file that is as large already is left as it is. */
  extend(pool: PoolDirectory, object: string, sizeMiB: number): Promise<void>
  /** Copies at once (reflink) and answers undefined, or says what to copy byte by byte before `finishCopy`. */
  beginCopy(pool: PoolDirectory, source: string, object: string): Promise<SlowCopy | undefined>
  /** Makes a copied file durable and gives it its name. */
  finishCopy(pool: PoolDirectory, temporary: string, object: string): Promise<void>
  /** Removes what an interrupted create or copy of this object left. */
  discardPartials(pool: PoolDirectory, object: string): Promise<void>
}

/** A volume that its storage gives as a directory. */
export interface DirectoryVolume {
  /** What its marker says; undefined: it has none that can be read. */
  readonly uuid: string | undefined
  /** Whether nothing is in it, not even a marker. */
  readonly empty: boolean
}

/** They name a volume's directory; no marker of a pool is read. */
export interface VolumeDirectoryOperations {
  lookAtVolume(directory: string): Promise<DirectoryVolume>
  /** Marks an empty directory as this volume; repeating it is harmless. @throws not_blank */
  makeVolume(directory: string, uuid: string): Promise<void>
  /** Gives a copy its own identity. */
  renameVolume(directory: string, uuid: string): Promise<void>
}

/** An object of a pool that is a directory. */
export interface DirectoryObject {
  readonly object: string
  /** Where a volume's marker and data are, or will be. */
  readonly path: string
  /** What it was made for; nothing holds its users to that. */
  readonly sizeMiB: number
}

/** As `FileOperations`, for objects that are directories. */
export interface DirectoryObjectOperations {
  findDirectory(pool: PoolDirectory, object: string): Promise<DirectoryObject | undefined>
  listDirectories(pool: PoolDirectory): Promise<DirectoryObject[]>
  /** False: there is one of that name, left as it is. */
  createDirectory(pool: PoolDirectory, object: string, sizeMiB: number): Promise<boolean>
  isDirectoryBlank(pool: PoolDirectory, object: string): Promise<boolean>
  /** Writes down a larger size; one that is as large already is left as it is. */
  resizeDirectory(pool: PoolDirectory, object: string, sizeMiB: number): Promise<void>
  /** Says what to copy where (the last part is not there yet) before `finishTreeCopy`. */
  beginTreeCopy(pool: PoolDirectory, source: string, object: string): Promise<{ from: string; to: string }>
  /** Gives a copied tree, which is durable, its name. */
  finishTreeCopy(pool: PoolDirectory, to: string, object: string): Promise<void>
  /** Takes the object's name away, if there is one. Answers which trees are to be removed: of interrupted work as well. */
  retireDirectory(pool: PoolDirectory, object: string): Promise<string[]>
}

/** Who may use an object, where a server opens the pool's files (see `access-links.ts`). */
export interface AccessOperations {
  /** Lays a permit down, to be asked for before it is known whether the initiator may get in. */
  permitAccess(pool: PoolDirectory, object: string, initiator: string): Promise<void>
  /** Uses the permit up. @returns the path that the server is to open; undefined when there is no permit */
  beginAccess(pool: PoolDirectory, object: string, initiator: string): Promise<string | undefined>
  /** The path as long as the access is not taken away. */
  accessPath(pool: PoolDirectory, object: string, initiator: string): Promise<string | undefined>
  /** Makes a permit of it again. */
  endAccess(pool: PoolDirectory, object: string, initiator: string): Promise<void>
  /** Takes path and permit away, durably. */
  denyAccess(pool: PoolDirectory, object: string, initiator: string): Promise<void>
  /** Removes what is there of an object that is to be deleted. */
  forgetAccess(pool: PoolDirectory, object: string): Promise<void>
}

export type AllFileOperations = FileOperations &
  VolumeDirectoryOperations &
  DirectoryObjectOperations &
  AccessOperations
export type FileOperation = keyof AllFileOperations

export interface FileRequest {
  readonly id: number
  readonly operation: FileOperation
  readonly args: readonly unknown[]
}

export interface FileFailure {
  readonly code: ErrorCode
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

export type FileResponse =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: FileFailure }
