import { join } from 'node:path'
import { EngineError } from '../../contracts/engine-error.ts'
import { crc32c } from '../crc32c.ts'
import { type LogFiles, onDisk, readFully } from './log-files.ts'

/**
 * A segment: one file of the journal. It begins with 64 bytes, little-endian:
 *
 *      0  8 bytes  "headwlog"
 *      8  u32      format, 1
 *     12  u32      salt of the frames' checksums
 *     16  f64      number of the segment, which is its file name too
 *     24  f64      first frame sequence it stands for
 *     32  f64      last one it stands for, once it has been cleaned; else 0
 *     40  u32      times cleaned
 *     44  16 bytes 0
 *     60  u32      CRC-32C of the 60 bytes before
 *
 * A cleaned segment may stand for several: those that lie within its
 * sequences are left-overs of an interrupted cleaning.
 */
export const segmentHeaderBytes = 64
export const logFormat = 1

const magic = Buffer.from('headwlog', 'latin1')

export interface SegmentHeader {
  readonly number: number
  readonly salt: number
  readonly firstSequence: number
  /** 0 while nothing but the segment's own frames say where it ends. */
  readonly coveredSequence: number
  readonly generation: number
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(segmentHeaderBytes)
  magic.copy(bytes)
  bytes.writeUInt32LE(logFormat, 8)
  bytes.writeUInt32LE(header.salt, 12)
  bytes.writeDoubleLE(header.number, 16)
  bytes.writeDoubleLE(header.firstSequence, 24)
  bytes.writeDoubleLE(header.coveredSequence, 32)
  bytes.writeUInt32LE(header.generation, 40)
  bytes.writeUInt32LE(crc32c(bytes, 0, 60), 60)
  return bytes
}

/** The header, or why there is none. @throws EngineError `log-newer-format` */
export function decodeSegmentHeader(bytes: Buffer, path: string): SegmentHeader | string {
  if (bytes.length < segmentHeaderBytes) return `the file has ${bytes.length} bytes, its header needs 64`
  if (!bytes.subarray(0, 8).equals(magic)) return 'the file does not begin with "headwlog"'
  const format = bytes.readUInt32LE(8)
  if (format > logFormat)
    throw new EngineError('log-newer-format', { path, found: format, supported: logFormat })
  if (bytes.readUInt32LE(60) !== crc32c(bytes, 0, 60)) return 'the checksum of the file header is wrong'
  return {
    number: bytes.readDoubleLE(16),
    salt: bytes.readUInt32LE(12),
    firstSequence: bytes.readDoubleLE(24),
    coveredSequence: bytes.readDoubleLE(32),
    generation: bytes.readUInt32LE(40),
  }
}

export const segmentName = (number: number): string => `${String(number).padStart(16, '0')}.log`
export const indexName = (number: number): string => `${String(number).padStart(16, '0')}.index`
/** Ending of files that are being written and do not count yet. */
export const unfinished = '.cleaning'

/** The numbers of the segments in a folder, ascending. */
export function segmentNumbers(names: readonly string[]): number[] {
  return names
    .filter((name) => /^\d{16}\.log$/.test(name))
    .map((name) => Number(name.slice(0, 16)))
    .sort((left, right) => left - right)
}

/** A segment in use. Its file is opened when it is read and may be closed when many are open. */
export class Segment {
  readonly path: string
  readonly header: SegmentHeader
  /** Bytes of valid frames and the header. */
  sizeBytes: number
  /** Sequence of its last frame; for a cleaned one the last it stands for. */
  lastSequence: number
  readonly #files: LogFiles
  #file = -1
  #users = 0
  #retired = false

  constructor(files: LogFiles, folder: string, header: SegmentHeader, sizeBytes: number) {
    this.#files = files
    this.path = join(folder, segmentName(header.number))
    this.header = header
    this.sizeBytes = sizeBytes
    this.lastSequence = header.coveredSequence > 0 ? header.coveredSequence : header.firstSequence - 1
  }

  get number(): number {
    return this.header.number
  }

  get isOpen(): boolean {
    return this.#file >= 0
  }

  get isIdle(): boolean {
    return this.#users === 0
  }

  /** Takes over a file that is open already. */
  adopt(file: number): void {
    this.#file = file
  }

  /**
   * The open file; every call is paid back with `release`.
   *
   * @throws StaleSegment when the file of this name is another one now
   */
  acquire(): number {
    if (this.#file < 0) this.#file = this.#open()
    this.#users++
    return this.#file
  }

  release(): void {
    this.#users--
    if (this.#retired) this.closeIfIdle()
  }

  /** Closes the file as soon as nobody reads it. */
  retire(): void {
    this.#retired = true
    this.closeIfIdle()
  }

  closeIfIdle(): void {
    if (this.#users > 0 || this.#file < 0) return
    const file = this.#file
    this.#file = -1
    this.#files.close(file)
  }

  #open(): number {
    if (this.#retired) throw new StaleSegment(this.path)
    let file: number
    try {
      file = this.#files.open(this.path, 'read')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new StaleSegment(this.path)
      return onDisk(this.path, 'open', () => {
        throw error
      })
    }
    const bytes = Buffer.alloc(segmentHeaderBytes)
    const got = readFully(this.#files, file, bytes, 0, segmentHeaderBytes, 0)
    if (got < segmentHeaderBytes || !bytes.equals(encodeSegmentHeader(this.header))) {
      this.#files.close(file)
      throw new StaleSegment(this.path)
    }
    return file
  }
}

/** The segment was cleaned away or replaced since its index was read: read the index again. */
export class StaleSegment extends Error {
  override readonly name = 'StaleSegment'

  constructor(path: string) {
    super(`${path} is not the file that was indexed`)
  }
}
