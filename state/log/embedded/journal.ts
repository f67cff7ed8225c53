import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { EngineError } from '../../contracts/engine-error.ts'
import { readSectionHeader, sectionKinds } from '../section.ts'
import { TopicCatalog } from '../topic-catalog.ts'
import {
  applyCatalogEvent,
  type CatalogEvent,
  decodeCatalogEvent,
  encodeCatalogEvent,
  type SequenceRange,
  snapshotOf,
} from './catalog-event.ts'
import { frameHeaderBytes, writeFrameHeader } from './frame.ts'
import { diskError, type LogFiles, syncError, writeFully } from './log-files.ts'
import type { ScannedFrame } from './scan.ts'
import { encodeSegmentHeader, Segment, segmentHeaderBytes, segmentName } from './segment.ts'
import { SegmentRows, saveSegmentRows } from './segment-index-file.ts'
import { TailChunks } from './tail-chunks.ts'

export interface JournalOptions {
  readonly path: string
  readonly files: LogFiles
  readonly segmentBytes: number
  readonly tailBytes: number
  readonly now: () => number
}

/** Where an appended frame lies: byte `at` of `bytes` is its first. */
export interface FramePlace {
  readonly segment: number
  readonly position: number
  readonly bytes: Buffer
  readonly at: number
}

/** Segments whose files may be open at once. */
const openFiles = 128

/**
 * The physical side of the embedded log: one sequence of frames in segment
 * files, and what they add up to: the topics and where their sections lie.
 */
export class Journal {
  readonly path: string
  readonly files: LogFiles
  readonly catalog: TopicCatalog = new TopicCatalog()
  readonly tail: TailChunks
  /** In order. The last one is written to. */
  readonly segments: Map<number, Segment> = new Map()
  removed: readonly SequenceRange[] = []
  sequence = 0
  /** Up to here every frame is known to be on the disk. */
  durableSequence = 0
  /** Goes up when rows of an index moved or went: what was found by row before is void. */
  moves = 0
  /** Set when a failure left the file in a state that only a new opening can mend. */
  failure: EngineError | undefined
  readonly #segmentBytes: number
  readonly #now: () => number
  #active: Segment | undefined
  #activeFile = -1
  /** Index of the active segment, for its file when it is sealed. */
  #activeRows = new SegmentRows()

  constructor({ path, files, segmentBytes, tailBytes, now }: JournalOptions) {
    this.path = path
    this.files = files
    this.tail = new TailChunks(tailBytes)
    this.#segmentBytes = segmentBytes
    this.#now = now
  }

  get active(): Segment {
    if (this.#active === undefined) throw new EngineError('log-closed', { path: this.path })
    return this.#active
  }

  get activeFile(): number {
    return this.#activeFile
  }

  get activeRows(): SegmentRows {
    return this.#activeRows
  }

  /** Goes on in a segment that exists. */
  resume(segment: Segment, file: number, rows: SegmentRows): void {
    segment.adopt(file)
    segment.acquire()
    this.#active = segment
    this.#activeFile = file
    this.#activeRows = rows
    this.sequence = segment.lastSequence
  }

  /**
   * Appends one frame: `fill` writes `bodyBytes` bytes of sections and must
   * not fail. On any failure nothing is left of it and the next append starts
   * at the same place.
   *
   * @throws EngineError `log-disk`
   */
  append(
    bodyBytes: number,
    sectionCount: number,
    fill: (bytes: Buffer, at: number, appendedAtMs: number) => void,
  ): FramePlace {
    if (this.failure !== undefined) throw this.failure
    const byteLength = frameHeaderBytes + bodyBytes
    if (this.#isFull(byteLength)) this.roll()
    const segment = this.active
    const position = segment.sizeBytes
    const chunk = this.tail.reserve(segment.number, position, byteLength)
    const at = position - chunk.from
    const appendedAtMs = this.#now()
    const sequence = this.sequence + 1
    fill(chunk.bytes, at + frameHeaderBytes, appendedAtMs)
    writeFrameHeader(
      chunk.bytes,
      at,
      { byteLength, sectionCount, sequence, appendedAtMs, durableSequence: this.durableSequence },
      segment.header.salt,
    )
    this.#write(segment, chunk.bytes, at, byteLength)
    chunk.to = position + byteLength
    segment.sizeBytes = chunk.to
    segment.lastSequence = sequence
    this.sequence = sequence
    return { segment: segment.number, position, bytes: chunk.bytes, at }
  }

  /** Notes a section that was appended, for the segment's index file. */
  noteSection(
    topicId: number,
    partition: number,
    position: number,
    byteLength: number,
    count: number,
    baseOffset: number,
    maxTimestampMs: number,
  ): void {
    this.#activeRows.push(topicId, partition, position, byteLength, count, baseOffset, maxTimestampMs)
  }

  /** Appends a catalog event and folds it in. */
  appendEvent(event: CatalogEvent): void {
    const section = encodeCatalogEvent(event, this.#now())
    this.append(section.length, 1, (bytes, at) => section.copy(bytes, at))
    this.removed = applyCatalogEvent(this.catalog, event, this.removed)
    this.moves++
  }

  /** Makes all that was written durable. After a failure nothing more is taken, and no later sync is believed. */
  syncNow(): void {
    if (this.failure !== undefined) throw this.failure
    try {
      this.files.sync(this.#activeFile)
    } catch (error) {
      this.failure = syncError(this.active.path, error)
      throw this.failure
    }
    this.durableSequence = this.sequence
  }

  /** Seals the active segment and begins the next one. What was written before is durable then. */
  roll(): void {
    if (this.failure !== undefined) throw this.failure
    const before = this.#active
    if (before !== undefined) {
      this.syncNow()
      saveSegmentRows(this.files, this.path, before, this.#activeRows)
    }
    this.#create((before?.number ?? 0) + 1)
    before?.release()
  }

  /** Folds a frame that was read back into the catalog and the indexes. */
  applyFrame(segment: Segment, frame: ScannedFrame, rows: SegmentRows): void {
    for (const at of frame.sections) {
      if (frame.bytes.readUInt16LE(at + 8) === sectionKinds.catalog) {
        this.removed = applyCatalogEvent(this.catalog, catalogEventOf(segment, frame, at), this.removed)
        this.moves++
        continue
      }
      const header = readSectionHeader(frame.bytes, at)
      const { topicId, partition, byteLength, count, baseOffset, maxTimestampMs } = header
      const position = frame.origin + at
      rows.push(topicId, partition, position, byteLength, count, baseOffset, maxTimestampMs)
      const held = this.catalog.findById(topicId)?.partitions[partition]
      if (held === undefined) continue
      if (baseOffset !== held.end) {
        const { name } = held.topic.spec
        const detail = `${name}[${partition}] goes on at offset ${baseOffset}, expected ${held.end}`
        throw new EngineError('log-damaged', { path: segment.path, position, detail })
      }
      held.index.push(segment.number, position, byteLength, count, baseOffset, maxTimestampMs)
      held.end = baseOffset + header.span
    }
    segment.lastSequence = frame.header.sequence
    segment.sizeBytes = frame.position + frame.header.byteLength
    this.sequence = frame.header.sequence
  }

  /** The segment of that number with its file open; to be paid back with `release`. */
  acquire(number: number): { readonly segment: Segment; readonly file: number } {
    const segment = this.segments.get(number)
    if (segment === undefined) throw new Error(`segment ${number} is not known`)
    if (!segment.isOpen) this.#closeIdle()
    return { segment, file: segment.acquire() }
  }

  close(): void {
    this.#active?.release()
    this.#active = undefined
    for (const segment of this.segments.values()) segment.retire()
  }

  #isFull(byteLength: number): boolean {
    const { sizeBytes, header } = this.active
    return sizeBytes + byteLength > this.#segmentBytes && this.sequence > header.firstSequence
  }

  #write(segment: Segment, bytes: Buffer, at: number, byteLength: number): void {
    try {
      writeFully(this.files, this.#activeFile, bytes, at, byteLength, segment.sizeBytes)
    } catch (error) {
      const failure = diskError(segment.path, 'write', error)
      try {
        this.files.truncate(this.#activeFile, segment.sizeBytes)
      } catch {
        // Half a frame may stay at the end; nothing may be written behind it, and the next opening cuts it.
        this.failure = failure
      }
      throw failure
    }
  }

  /** Creates a segment with its header and a snapshot of the catalog, durable before anything follows. */
  #create(number: number): void {
    const path = join(this.path, segmentName(number))
    const firstSequence = this.sequence + 1
    const header = { number, salt: randomInt(2 ** 32), firstSequence, coveredSequence: 0, generation: 0 }
    const appendedAtMs = this.#now()
    const section = encodeCatalogEvent(snapshotOf(this.catalog, this.removed), appendedAtMs)
    const frame = Buffer.alloc(frameHeaderBytes + section.length)
    section.copy(frame, frameHeaderBytes)
    const { length: byteLength } = frame
    const durableSequence = this.sequence
    const frameHeader = {
      byteLength,
      sectionCount: 1,
      sequence: firstSequence,
      appendedAtMs,
      durableSequence,
    }
    writeFrameHeader(frame, 0, frameHeader, header.salt)
    const bytes = Buffer.concat([encodeSegmentHeader(header), frame])
    let file = -1
    try {
      file = this.files.open(path, 'create')
      writeFully(this.files, file, bytes, 0, bytes.length, 0)
      this.files.sync(file)
      this.files.syncFolder(this.path)
    } catch (error) {
      this.#discard(path, file)
      throw diskError(path, 'create', error)
    }
    const segment = new Segment(this.files, this.path, header, segmentHeaderBytes + frame.length)
    segment.lastSequence = firstSequence
    this.segments.set(number, segment)
    this.resume(segment, file, new SegmentRows())
    this.durableSequence = firstSequence
  }

  /** Takes back a segment that could not be made, so that a later try can make it. */
  #discard(path: string, file: number): void {
    try {
      if (file >= 0) this.files.close(file)
      this.files.remove(path)
    } catch (error) {
      this.failure = diskError(path, 'remove', error)
    }
  }

  #closeIdle(): void {
    let open = 0
    for (const segment of this.segments.values()) if (segment.isOpen) open++
    for (const segment of this.segments.values()) {
      if (open < openFiles) return
      if (segment.isOpen && segment.isIdle) {
        segment.closeIfIdle()
        open--
      }
    }
  }
}

function catalogEventOf(segment: Segment, { bytes, origin }: ScannedFrame, at: number): CatalogEvent {
  try {
    return decodeCatalogEvent(bytes, at)
  } catch (error) {
    const detail = `a catalog section is not valid: ${error instanceof Error ? error.message : String(error)}`
    throw new EngineError('log-damaged', { path: segment.path, position: origin + at, detail })
  }
}
