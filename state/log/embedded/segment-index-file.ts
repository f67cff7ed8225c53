import { join } from 'node:path'
import { crc32c } from '../crc32c.ts'
import { sectionHeaderBytes } from '../section.ts'
import { SectionIndex } from '../section-index.ts'
import type { TopicCatalog } from '../topic-catalog.ts'
import { type LogFiles, readFully, writeFully } from './log-files.ts'
import { indexName, type Segment } from './segment.ts'

/**
 * Which sections a sealed segment holds, so that opening a log need not read
 * the segments. It can be made again from the segment at any time, so a file
 * that is missing, torn or of another version of the segment is no damage.
 *
 *      0  8 bytes  "headwidx"
 *      8  u32      format, 1
 *     12  u32      salt of the segment, which tells its versions apart
 *     16  f64      bytes of the segment
 *     24  f64      last sequence
 *     32  u32      count of rows
 *     36  u32      CRC-32C of the bytes before it and of the rows
 *     40           the rows, column by column: topic number u32, partition u32,
 *                  position u32, bytes u32, count u32, base offset f64, greatest
 *                  event time f64
 */
const headerBytes = 40
const rowBytes = 36
const magic = Buffer.from('headwidx', 'latin1')
const format = 1

/** The sections of one segment in the order in which they lie there. */
export class SegmentRows {
  readonly topicIds: number[] = []
  readonly partitions: number[] = []
  /** The other columns; `segments` is not used. */
  readonly index: SectionIndex = new SectionIndex()

  push(
    topicId: number,
    partition: number,
    position: number,
    byteLength: number,
    count: number,
    baseOffset: number,
    maxTimestampMs: number,
  ): void {
    this.topicIds.push(topicId)
    this.partitions.push(partition)
    this.index.push(0, position, byteLength, count, baseOffset, maxTimestampMs)
  }

  /** The rows of one topic partition, as rows of segment `segment`; undefined when it has none. */
  byPartition(segment: number): (topicId: number, partition: number) => SectionIndex | undefined {
    const found = new Map<string, SectionIndex>()
    const { positions, byteLengths, counts, baseOffsets, maxTimestamps, length } = this.index
    for (let row = 0; row < length; row++) {
      const key = `${this.topicIds[row]}/${this.partitions[row]}`
      let index = found.get(key)
      if (index === undefined) {
        index = new SectionIndex()
        found.set(key, index)
      }
      const [position, byteLength, count] = [positions[row]!, byteLengths[row]!, counts[row]!]
      index.push(segment, position, byteLength, count, baseOffsets[row]!, maxTimestamps[row]!)
    }
    return (topicId, partition) => found.get(`${topicId}/${partition}`)
  }
}

export function encodeSegmentRows(segment: Segment, rows: SegmentRows): Buffer {
  const { index } = rows
  const count = index.length
  const bytes = Buffer.alloc(headerBytes + count * rowBytes)
  magic.copy(bytes)
  bytes.writeUInt32LE(format, 8)
  bytes.writeUInt32LE(segment.header.salt, 12)
  bytes.writeDoubleLE(segment.sizeBytes, 16)
  bytes.writeDoubleLE(segment.lastSequence, 24)
  bytes.writeUInt32LE(count, 32)
  let at = headerBytes
  for (const column of [rows.topicIds, rows.partitions, index.positions, index.byteLengths, index.counts]) {
    for (let row = 0; row < count; row++) at = bytes.writeUInt32LE(column[row]!, at)
  }
  for (const column of [index.baseOffsets, index.maxTimestamps]) {
    for (let row = 0; row < count; row++) at = bytes.writeDoubleLE(column[row]!, at)
  }
  bytes.writeUInt32LE(checksumOf(bytes), 36)
  return bytes
}

const checksumOf = (bytes: Buffer): number => crc32c(bytes, headerBytes, bytes.length, crc32c(bytes, 0, 36))

/** Undefined when the file does not fit the segment. Sets the segment's last sequence. */
export function decodeSegmentRows(bytes: Buffer, segment: Segment): SegmentRows | undefined {
  if (bytes.length < headerBytes || !bytes.subarray(0, 8).equals(magic)) return undefined
  const count = bytes.readUInt32LE(32)
  if (
    bytes.readUInt32LE(8) !== format ||
    bytes.readUInt32LE(12) !== segment.header.salt ||
    bytes.readDoubleLE(16) !== segment.sizeBytes ||
    bytes.length !== headerBytes + count * rowBytes ||
    bytes.readUInt32LE(36) !== checksumOf(bytes)
  ) {
    return undefined
  }
  segment.lastSequence = bytes.readDoubleLE(24)
  const rows = new SegmentRows()
  // The place of column k begins after k columns of four bytes, or after five of them and eight-byte ones.
  const narrow = (column: number, row: number) => bytes.readUInt32LE(headerBytes + (column * count + row) * 4)
  const wide = (column: number, row: number) =>
    bytes.readDoubleLE(headerBytes + count * 20 + (column * count + row) * 8)
  for (let row = 0; row < count; row++) {
    rows.push(
      narrow(0, row),
      narrow(1, row),
      narrow(2, row),
      narrow(3, row),
      narrow(4, row),
      wide(0, row),
      wide(1, row),
    )
  }
  return rows
}

/** Writes the index of a sealed segment; a failure is no harm, the index is then made again at the next opening. */
export function saveSegmentRows(files: LogFiles, folder: string, segment: Segment, rows: SegmentRows): void {
  const path = join(folder, indexName(segment.number))
  const bytes = encodeSegmentRows(segment, rows)
  try {
    files.remove(path)
    const file = files.open(path, 'create')
    try {
      writeFully(files, file, bytes, 0, bytes.length, 0)
    } finally {
      files.close(file)
    }
  } catch {
    // A torn file fails its checksum.
  }
}

export function loadSegmentRows(files: LogFiles, folder: string, segment: Segment): SegmentRows | undefined {
  let file: number
  try {
    file = files.open(join(folder, indexName(segment.number)), 'read')
  } catch {
    return undefined
  }
  try {
    // No section is smaller than its header, so a longer file is not the index of this segment.
    const mostBytes = headerBytes + (segment.sizeBytes / sectionHeaderBytes) * rowBytes
    const sizeBytes = files.sizeBytes(file)
    if (sizeBytes > mostBytes) return undefined
    const bytes = Buffer.allocUnsafe(sizeBytes)
    const got = readFully(files, file, bytes, 0, bytes.length, 0)
    return decodeSegmentRows(bytes.subarray(0, got), segment)
  } catch {
    return undefined
  } finally {
    files.close(file)
  }
}

/** Whose indexes are replaced: a journal. `moves` counts the times. */
interface Indexed {
  readonly catalog: TopicCatalog
  moves: number
}

/**
 * Puts `rows`, of the segment `from`, in the place of all rows of the segments
 * `from` to `to`. In every partition those lie together, since segments and
 * offsets go up together.
 */
export function replaceRows(journal: Indexed, from: number, to: number, rows: SegmentRows): void {
  const byPartition = rows.byPartition(from)
  for (const topic of journal.catalog.all()) {
    for (const held of topic.partitions) {
      const { index } = held
      let first = index.first
      while (first < index.length && index.segments[first]! < from) first++
      let end = first
      while (end < index.length && index.segments[end]! <= to) end++
      const replacement = byPartition(topic.id, held.partition)
      if (first === end && replacement === undefined) continue
      index.replace(first, end, replacement ?? new SectionIndex())
      held.resume = undefined
      held.dropBeforeStart()
    }
  }
  journal.moves++
}
