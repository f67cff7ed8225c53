import { join } from 'node:path'
import { EngineError } from '../../contracts/engine-error.ts'
import { readSectionHeader, sectionKinds } from '../section.ts'
import type { SequenceRange } from './catalog-event.ts'
import { markBytes } from './frame.ts'
import type { Journal } from './journal.ts'
import { type LogFiles, onDisk, readFully } from './log-files.ts'
import { FrameScan, type ScanEnd } from './scan.ts'
import {
  decodeSegmentHeader,
  indexName,
  Segment,
  segmentHeaderBytes,
  segmentName,
  segmentNumbers,
  unfinished,
} from './segment.ts'
import { loadSegmentRows, replaceRows, SegmentRows, saveSegmentRows } from './segment-index-file.ts'

/** What an opening did to the end of the log. */
export interface TornTail {
  readonly path: string
  /** Where the last whole frame ends. */
  readonly position: number
  /** Bytes after it that were cut off, or are passed over by a reader. */
  readonly bytes: number
  readonly detail: string
}

/**
 * Reads the folder into the journal. A writer (`mends`) also cuts a torn tail,
 * removes what an interrupted cleaning left behind, writes missing index
 * files and makes the first segment of a new log.
 *
 * @throws EngineError `log-damaged`, `log-newer-format`, `log-disk`
 */
export function recover(journal: Journal, mends: boolean): TornTail | undefined {
  const { path, files } = journal
  const names = onDisk(path, 'list', () => files.list(path))
  if (mends)
    removeAll(
      journal,
      names.filter((name) => name.endsWith(unfinished)),
    )
  const numbers = segmentNumbers(names)
  let torn: TornTail | undefined
  let last = numbers.length > 0 ? openLast(journal, numbers.at(-1)!, mends) : undefined
  if (last !== undefined && 'torn' in last) {
    // The very first frame of the newest segment never got whole: nothing in it was ever acknowledged.
    torn = last.torn
    const unborn = numbers.pop()!
    if (mends) removeAll(journal, [segmentName(unborn), indexName(unborn)])
    last = numbers.length > 0 ? openLast(journal, numbers.at(-1)!, mends) : undefined
    if (last !== undefined && 'torn' in last) {
      throw new EngineError('log-damaged', { path: last.torn.path, position: 0, detail: last.torn.detail })
    }
  }
  if (last === undefined) {
    if (mends) journal.roll()
    return torn
  }
  return scanActive(journal, numbers, last, mends) ?? torn
}

interface LastSegment {
  readonly segment: Segment
  readonly file: number
  readonly sizeBytes: number
  readonly scan: FrameScan
}

/** Opens the newest segment and checks its first frame, which holds the catalog. */
function openLast(
  journal: Journal,
  number: number,
  mends: boolean,
): LastSegment | { readonly torn: TornTail } {
  const { files, path: folder } = journal
  const path = join(folder, segmentName(number))
  return onDisk(path, 'open', () => {
    const file = files.open(path, mends ? 'append' : 'read')
    const sizeBytes = files.sizeBytes(file)
    const bytes = Buffer.alloc(Math.min(sizeBytes, segmentHeaderBytes))
    readFully(files, file, bytes, 0, bytes.length, 0)
    let torn: ScanEnd
    const header = decodeSegmentHeader(bytes, path)
    if (typeof header === 'string') {
      torn = { position: 0, defect: header }
      // Nothing is written behind the first frame before header and frame are on the disk.
      if (hasSecondFrame(files, file, sizeBytes)) {
        files.close(file)
        throw new EngineError('log-damaged', { path, position: 0, detail: header })
      }
    } else {
      const segment = new Segment(files, folder, header, segmentHeaderBytes)
      if (header.coveredSequence > 0) {
        files.close(file)
        const detail = 'it was sealed and cleaned, so the segment that was written to after it is missing'
        throw new EngineError('log-damaged', { path, position: 0, detail })
      }
      const scan = new FrameScan(files, file, segment, sizeBytes)
      const first = scan.frameAt(segmentHeaderBytes)
      if (!('defect' in first)) return { segment, file, sizeBytes, scan }
      torn = { position: segmentHeaderBytes, defect: first.defect }
      if (scan.isDamage(torn, header.firstSequence)) {
        files.close(file)
        throw new EngineError('log-damaged', { path, position: segmentHeaderBytes, detail: first.defect })
      }
    }
    files.close(file)
    return { torn: { path, position: torn.position, bytes: sizeBytes - torn.position, detail: torn.defect! } }
  })
}

/**
 * Whether there is a mark of a frame behind the first one. Without a valid
 * file header the frames cannot be checked, and a file that was in use must
 * not be taken for one that was just begun.
 */
function hasSecondFrame(files: LogFiles, file: number, sizeBytes: number): boolean {
  const step = 1 << 20
  const bytes = Buffer.alloc(Math.min(sizeBytes, step + markBytes.length))
  for (let position = segmentHeaderBytes + 1; position < sizeBytes; position += step) {
    const got = readFully(files, file, bytes, 0, bytes.length, position)
    if (bytes.subarray(0, got).includes(markBytes)) return true
  }
  return false
}

function scanActive(
  journal: Journal,
  numbers: readonly number[],
  { segment, file, sizeBytes, scan }: LastSegment,
  mends: boolean,
): TornTail | undefined {
  const rows = new SegmentRows()
  let sealed: readonly SealedSegment[] | undefined
  let end: ScanEnd
  try {
    end = scan.run(segmentHeaderBytes, segment.lastSequence, (frame) => {
      journal.applyFrame(segment, frame, rows)
      // The first frame is the catalog: with it the rows of the segments before make sense.
      sealed ??= loadSealed(journal, numbers.slice(0, -1))
    })
    // The frames after it may say that some of those segments are gone.
    settleSealed(journal, sealed ?? [], segment, mends)
  } catch (error) {
    journal.files.close(file)
    throw error
  }
  journal.segments.set(segment.number, segment)
  journal.resume(segment, file, rows)
  checkDense(journal)
  if (end.defect !== undefined && scan.isDamage(end, segment.lastSequence + 1)) {
    throw new EngineError('log-damaged', { path: segment.path, position: end.position, detail: end.defect })
  }
  if (mends) {
    onDisk(segment.path, 'truncate', () => {
      if (end.defect !== undefined) journal.files.truncate(file, end.position)
      // What a killed process wrote may be in the system's memory only; from here on it counts as kept.
      journal.files.sync(file)
    })
    journal.durableSequence = journal.sequence
  }
  if (end.defect === undefined) return undefined
  return { path: segment.path, position: end.position, bytes: sizeBytes - end.position, detail: end.defect }
}

interface SealedSegment {
  readonly segment: Segment
  readonly rows: SegmentRows
  readonly isIndexed: boolean
}

/** Puts the sections of the sealed segments into the indexes, from their index files where those fit. */
function loadSealed(journal: Journal, numbers: readonly number[]): readonly SealedSegment[] {
  const sealed: SealedSegment[] = []
  let covered = 0
  for (const number of numbers) {
    const path = join(journal.path, segmentName(number))
    const one = onDisk(path, 'open', () => loadSegment(journal, number))
    sealed.push(one)
    // The cleaned segment before it stands for this one too.
    if (one.segment.lastSequence <= covered) continue
    covered = one.segment.lastSequence
    addRows(journal, number, one.rows)
  }
  return sealed
}

/** Checks that none is missing, and removes those that an interrupted cleaning replaced or emptied. */
function settleSealed(
  journal: Journal,
  sealed: readonly SealedSegment[],
  active: Segment,
  mends: boolean,
): void {
  const { files, path: folder } = journal
  let before: Segment | undefined
  for (const { segment, rows, isIndexed } of sealed) {
    const { number } = segment
    if (isLeftOver(segment, before, journal.removed)) {
      replaceRows(journal, number, number, new SegmentRows())
      if (mends) removeAll(journal, [indexName(number), segmentName(number)])
      continue
    }
    checkNoneMissing(journal, before, segment)
    if (mends && !isIndexed) saveSegmentRows(files, folder, segment, rows)
    journal.segments.set(number, segment)
    before = segment
  }
  checkNoneMissing(journal, before, active)
}

function loadSegment(journal: Journal, number: number): SealedSegment {
  const { files, path: folder } = journal
  const path = join(folder, segmentName(number))
  const file = files.open(path, 'read')
  try {
    const bytes = Buffer.alloc(segmentHeaderBytes)
    const got = readFully(files, file, bytes, 0, segmentHeaderBytes, 0)
    const header = decodeSegmentHeader(bytes.subarray(0, got), path)
    if (typeof header === 'string')
      throw new EngineError('log-damaged', { path, position: 0, detail: header })
    const segment = new Segment(files, folder, header, files.sizeBytes(file))
    const indexed = loadSegmentRows(files, folder, segment)
    if (indexed !== undefined) return { segment, rows: indexed, isIndexed: true }
    return { segment, rows: scanRows(journal, segment, file), isIndexed: false }
  } finally {
    files.close(file)
  }
}

/** Makes the rows of a sealed segment from its frames, every one of which must be whole. */
export function scanRows(journal: Journal, segment: Segment, file: number): SegmentRows {
  const rows = new SegmentRows()
  const scan = new FrameScan(journal.files, file, segment, segment.sizeBytes)
  let last = segment.header.firstSequence - 1
  const end = scan.run(segmentHeaderBytes, last, (frame) => {
    last = frame.header.sequence
    for (const at of frame.sections) {
      const header = readSectionHeader(frame.bytes, at)
      if (header.kind === sectionKinds.catalog) continue
      const { topicId, partition, byteLength, count, baseOffset, maxTimestampMs } = header
      rows.push(topicId, partition, frame.origin + at, byteLength, count, baseOffset, maxTimestampMs)
    }
  })
  if (end.defect !== undefined) {
    throw new EngineError('log-damaged', { path: segment.path, position: end.position, detail: end.defect })
  }
  segment.lastSequence = segment.header.coveredSequence > 0 ? segment.header.coveredSequence : last
  return rows
}

/** Adds a sealed segment's rows to the live topics' indexes. */
function addRows(journal: Journal, number: number, { topicIds, partitions, index }: SegmentRows): void {
  for (let row = 0; row < index.length; row++) {
    const held = journal.catalog.findById(topicIds[row]!)?.partitions[partitions[row]!]
    if (held === undefined) continue
    held.index.push(
      number,
      index.positions[row]!,
      index.byteLengths[row]!,
      index.counts[row]!,
      index.baseOffsets[row]!,
      index.maxTimestamps[row]!,
    )
  }
}

/** A segment that an interrupted cleaning replaced or emptied, and had no time to remove. */
function isLeftOver(
  segment: Segment,
  before: Segment | undefined,
  removed: readonly SequenceRange[],
): boolean {
  const { firstSequence } = segment.header
  if (before !== undefined && segment.lastSequence <= before.lastSequence) return true
  return removed.some(([first, last]) => firstSequence >= first && segment.lastSequence <= last)
}

function checkNoneMissing(journal: Journal, before: Segment | undefined, segment: Segment): void {
  const expected = (before?.lastSequence ?? 0) + 1
  const { firstSequence } = segment.header
  if (firstSequence === expected) return
  if (journal.removed.some(([first, last]) => first <= expected && last >= firstSequence - 1)) return
  const detail = `it begins with frame ${firstSequence}, expected ${expected}; a segment before it is missing`
  throw new EngineError('log-damaged', { path: segment.path, position: 0, detail })
}

/** Drops what retention cut off, and checks that topics without compaction have every offset. */
function checkDense(journal: Journal): void {
  for (const topic of journal.catalog.all()) {
    for (const held of topic.partitions) {
      held.dropBeforeStart()
      if (topic.spec.compacted === true) continue
      const { index } = held
      let expected = held.start
      for (let row = index.first; row < index.length; row++) {
        const base = index.baseOffsets[row]!
        if (base > expected) throwGap(journal, held.key, expected, base, index.segments[row]!)
        expected = base + index.counts[row]!
      }
      if (expected < held.end) throwGap(journal, held.key, expected, held.end, journal.active.number)
    }
  }
}

function throwGap(journal: Journal, key: string, from: number, to: number, segment: number): never {
  const [topic, partition] = key.split('\0')
  const detail = `${topic}[${partition}] lacks the offsets from ${from} to ${to - 1}`
  throw new EngineError('log-damaged', {
    path: join(journal.path, segmentName(segment)),
    position: 0,
    detail,
  })
}

function removeAll(journal: Journal, names: readonly string[]): void {
  const { files, path } = journal
  if (names.length === 0) return
  onDisk(path, 'remove', () => {
    for (const name of names) files.remove(join(path, name))
    files.syncFolder(path)
  })
}
