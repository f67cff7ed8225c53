import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { EngineError, isEngineError } from '../../contracts/engine-error.ts'

/**
 * What the embedded log asks of a file system. A port of its own so that a
 * test can make every call fail. Reads and writes may be short, as the
 * operating system's are.
 */
export interface LogFiles {
  makeFolder(path: string): void
  /** Names in the folder, in no order. */
  list(path: string): readonly string[]
  /** `create` fails when the file exists. */
  open(path: string, mode: 'read' | 'append' | 'create'): number
  close(file: number): void
  sizeBytes(file: number): number
  read(file: number, target: Buffer, at: number, count: number, position: number): number
  readLater(file: number, target: Buffer, at: number, count: number, position: number): Promise<number>
  write(file: number, source: Buffer, at: number, count: number, position: number): number
  truncate(file: number, sizeBytes: number): void
  /** Data and the size reach the disk. */
  sync(file: number): void
  syncLater(file: number): Promise<void>
  /** Names in the folder reach the disk. */
  syncFolder(path: string): void
  /** Atomic; replaces what has the new name. */
  rename(from: string, to: string): void
  /** Removes a file; nothing happens when there is none. */
  remove(path: string): void
}

const flags = { read: 'r', append: 'r+', create: 'wx+' } as const

export const nodeFiles: LogFiles = {
  makeFolder: (path) => {
    mkdirSync(path, { recursive: true })
  },
  list: (path) => readdirSync(path),
  open: (path, mode) => openSync(path, flags[mode]),
  close: (file) => closeSync(file),
  sizeBytes: (file) => fstatSync(file).size,
  read: (file, target, at, count, position) => readSync(file, target, at, count, position),
  readLater: (file, target, at, count, position) =>
    new Promise((resolve, reject) => {
      read(file, target, at, count, position, (error, done) => (error ? reject(error) : resolve(done)))
    }),
  write: (file, source, at, count, position) => writeSync(file, source, at, count, position),
  truncate: (file, sizeBytes) => ftruncateSync(file, sizeBytes),
  sync: (file) => fdatasyncSync(file),
  syncLater: (file) =>
    new Promise((resolve, reject) => {
      fdatasync(file, (error) => (error ? reject(error) : resolve()))
    }),
  syncFolder: (path) => {
    const folder = openSync(path, 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  },
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { force: true }),
}

/** Writes all of it, however short the single writes are. */
export function writeFully(
  files: LogFiles,
  file: number,
  source: Buffer,
  at: number,
  count: number,
  position: number,
): void {
  for (let done = 0; done < count; ) {
    const written = files.write(file, source, at + done, count - done, position + done)
    if (written === 0) throw new Error('a write took no bytes')
    done += written
  }
}

/** Reads up to `count` bytes; fewer only at the end of the file. */
export function readFully(
  files: LogFiles,
  file: number,
  target: Buffer,
  at: number,
  count: number,
  position: number,
): number {
  let done = 0
  while (done < count) {
    const got = files.read(file, target, at + done, count - done, position + done)
    if (got === 0) break
    done += got
  }
  return done
}

/** Runs a file operation; what it throws comes out as `log-disk`. */
export function onDisk<Result>(path: string, operation: string, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw diskError(path, operation, error)
  }
}

export function diskError(path: string, operation: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('log-disk', { path, operation, detail }, { cause })
}

/**
 * A sync failed. The system may have dropped what it could not write and call
 * the next sync a success, so there must be no next one.
 */
export function syncError(path: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  const detail = `${reason}; what the disk holds is not known, the log takes nothing more until it is opened again`
  return new EngineError('log-disk', { path, operation: 'fdatasync', detail }, { cause })
}

export const isDiskError = (error: unknown): boolean => isEngineError(error, 'log-disk')
