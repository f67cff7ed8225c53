import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { EngineError } from '../../contracts/engine-error.ts'
import { readSectionHeader, sectionKinds } from '../section.ts'
import { withoutRecords } from '../section-records.ts'
import type { DeadRecords } from './dead-records.ts'
import { frameHeaderBytes, writeFrameHeader } from './frame.ts'
import type { Journal } from './journal.ts'
import { diskError, onDisk, writeFully } from './log-files.ts'
import { FrameScan, type ScannedFrame } from './scan.ts'
import {
  encodeSegmentHeader,
  indexName,
  Segment,
  type SegmentHeader,
  segmentHeaderBytes,
  segmentName,
  unfinished,
} from './segment.ts'
import { replaceRows, SegmentRows, saveSegmentRows } from './segment-index-file.ts'

const turnBytes = 512 << 10

/** A cleaned segment that is written but does not count yet. */
interface Draft {
  readonly path: string
  readonly segment: Segment
  readonly rows: SegmentRows
}

/**
 * Writes neighbouring sealed segments anew, as one, without what is dead:
 * sections of topics that were deleted, sections that retention cut off, and
 * the records in `dead`. Offsets stay. The new file is made under another
 * name, synced and then renamed over the first of the old ones; files that it
 * stands for as well are removed last. So whenever the process dies, the
 * folder holds the old segments or the new one, and the next opening removes
 * what is left over.
 *
 * Returns the bytes of the new segment, 0 when nothing was left, or undefined
 * when it gave up since `signal` was aborted or retention was quicker.
 *
 * @throws EngineError `log-damaged`, `log-disk`; StaleSegment
 */
export async function rewriteSegments(
  journal: Journal,
  group: readonly Segment[],
  dead: DeadRecords,
  signal: AbortSignal,
): Promise<number | undefined> {
  const [first] = group
  if (first === undefined) throw new RangeError('there is no segment to clean')
  const header: SegmentHeader = {
    number: first.number,
    salt: randomInt(2 ** 32),
    firstSequence: first.header.firstSequence,
    coveredSequence: group.at(-1)!.lastSequence,
    generation: Math.max(...group.map((segment) => segment.header.generation)) + 1,
  }
  const segment = new Segment(journal.files, journal.path, header, segmentHeaderBytes)
  const draft: Draft = { path: first.path + unfinished, segment, rows: new SegmentRows() }
  try {
    await write(journal, group, dead, draft, signal)
    const isCurrent = group.every((old) => journal.segments.get(old.number) === old)
    if (signal.aborted || !isCurrent) {
      removeQuietly(journal, draft.path)
      return undefined
    }
  } catch (error) {
    removeQuietly(journal, draft.path)
    throw error
  }
  return replace(journal, group, draft)
}

async function write(
  journal: Journal,
  group: readonly Segment[],
  dead: DeadRecords,
  draft: Draft,
  signal: AbortSignal,
): Promise<void> {
  const { files } = journal
  removeQuietly(journal, draft.path)
  const file = onDisk(draft.path, 'create', () => files.open(draft.path, 'create'))
  try {
    onDisk(draft.path, 'write', () =>
      writeFully(files, file, encodeSegmentHeader(draft.segment.header), 0, segmentHeaderBytes, 0),
    )
    for (const segment of group) await copyLive(journal, segment, dead, draft, file, signal)
    await files.syncLater(file)
  } catch (error) {
    throw error instanceof Error && 'code' in error ? diskError(draft.path, 'write', error) : error
  } finally {
    files.close(file)
  }
}

async function copyLive(
  journal: Journal,
  segment: Segment,
  dead: DeadRecords,
  draft: Draft,
  target: number,
  signal: AbortSignal,
): Promise<void> {
  const { files } = journal
  const { file } = journal.acquire(segment.number)
  try {
    const scan = new FrameScan(files, file, segment, segment.sizeBytes)
    let position = segmentHeaderBytes
    for (let turn = 0; position < segment.sizeBytes && !signal.aborted; ) {
      const frame = scan.frameAt(position)
      if ('defect' in frame) {
        throw new EngineError('log-damaged', { path: segment.path, position, detail: frame.defect })
      }
      appendLive(journal, segment, frame, dead, draft, target)
      position += frame.header.byteLength
      turn += frame.header.byteLength
      if (turn < turnBytes) continue
      turn = 0
      await nextTurn()
    }
  } finally {
    segment.release()
  }
}

function appendLive(
  journal: Journal,
  from: Segment,
  { header, bytes, sections, origin }: ScannedFrame,
  dead: DeadRecords,
  { path, segment, rows }: Draft,
  target: number,
): void {
  const kept: Buffer[] = []
  for (const at of sections) {
    const section = liveSection(journal, bytes, at, dead.of(from.number, origin + at))
    if (section !== undefined) kept.push(section)
  }
  if (kept.length === 0) return
  let position = segment.sizeBytes + frameHeaderBytes
  for (const section of kept) {
    const { topicId, partition, byteLength, count, baseOffset, maxTimestampMs } = readSectionHeader(
      section,
      0,
    )
    rows.push(topicId, partition, position, byteLength, count, baseOffset, maxTimestampMs)
    position += byteLength
  }
  const byteLength = position - segment.sizeBytes
  const frame = Buffer.concat([Buffer.alloc(frameHeaderBytes), ...kept], byteLength)
  writeFrameHeader(frame, 0, { ...header, byteLength, sectionCount: kept.length }, segment.header.salt)
  onDisk(path, 'write', () => writeFully(journal.files, target, frame, 0, byteLength, segment.sizeBytes))
  segment.sizeBytes = position
}

/** The section, or what is live of it; undefined when nothing is. */
function liveSection(
  { catalog }: Journal,
  bytes: Buffer,
  at: number,
  isDead: ((record: number) => boolean) | undefined,
): Buffer | undefined {
  const { kind, topicId, partition, baseOffset, span, byteLength } = readSectionHeader(bytes, at)
  // The newest segment begins with a snapshot of the catalog, which older events add nothing to.
  if (kind === sectionKinds.catalog) return undefined
  const held = catalog.findById(topicId)?.partitions[partition]
  if (held === undefined || baseOffset + span <= held.start) return undefined
  return isDead === undefined ? bytes.subarray(at, at + byteLength) : withoutRecords(bytes, at, isDead)
}

/** Puts the draft in the place of the group. No other work comes in between. */
function replace(journal: Journal, group: readonly Segment[], { path, segment, rows }: Draft): number {
  const { files, segments, tail } = journal
  if (rows.index.length === 0) {
    // Nothing is left: the segments hold nothing live now, and go as those that retention emptied.
    removeQuietly(journal, path)
    replaceRows(journal, group[0]!.number, group.at(-1)!.number, rows)
    return 0
  }
  onDisk(segment.path, 'rename', () => files.rename(path, segment.path))
  for (const old of group) {
    if (old.number !== segment.number) segments.delete(old.number)
    old.retire()
    tail.drop(old.number)
  }
  segments.set(segment.number, segment)
  replaceRows(journal, group[0]!.number, group.at(-1)!.number, rows)
  try {
    files.syncFolder(journal.path)
  } catch (error) {
    journal.failure = diskError(journal.path, 'fsync', error)
    throw journal.failure
  }
  saveSegmentRows(files, journal.path, segment, rows)
  for (const { number } of group.slice(1)) {
    removeQuietly(journal, join(journal.path, indexName(number)))
    removeQuietly(journal, join(journal.path, segmentName(number)))
  }
  return segment.sizeBytes
}

/** A file that cannot be removed now is removed at the next opening. */
function removeQuietly({ files }: Journal, path: string): void {
  try {
    files.remove(path)
  } catch {
    // It does not count for anything meanwhile.
  }
}
