import { setImmediate as nextTurn } from 'node:timers/promises'
import { EngineError } from '../../contracts/engine-error.ts'
import { crc32c } from '../crc32c.ts'
import { isSectionWhole } from '../section.ts'
import { sectionRecords } from '../section-records.ts'
import type { TopicPartition } from '../topic-catalog.ts'
import type { Journal } from './journal.ts'
import { onDisk, readFully } from './log-files.ts'

/** Records that compaction may drop: a bit for each record of a section, by segment and position. */
export class DeadRecords {
  readonly #bits = new Map<number, Map<number, Uint8Array>>()
  readonly #bytes = new Map<number, number>()

  add(segment: number, position: number, count: number, record: number, sizeBytes: number): void {
    let sections = this.#bits.get(segment)
    if (sections === undefined) {
      sections = new Map()
      this.#bits.set(segment, sections)
    }
    let bits = sections.get(position)
    if (bits === undefined) {
      bits = new Uint8Array((count + 7) >>> 3)
      sections.set(position, bits)
    }
    bits[record >>> 3]! |= 1 << (record & 7)
    this.#bytes.set(segment, this.bytesIn(segment) + sizeBytes)
  }

  /** Undefined when no record of the section is dead. */
  of(segment: number, position: number): ((record: number) => boolean) | undefined {
    const bits = this.#bits.get(segment)?.get(position)
    if (bits === undefined) return undefined
    return (record) => (bits[record >>> 3]! & (1 << (record & 7))) !== 0
  }

  /** About how many bytes of the segment are dead. */
  bytesIn(segment: number): number {
    return this.#bytes.get(segment) ?? 0
  }
}

export interface CompactionLimits {
  /** Keys held in memory at once; a partition with more records is gone through several times. */
  readonly keys: number
  /** Tombstones appended before this moment, with nothing left to hide, are dropped. */
  readonly tombstonesBeforeMs: number
}

/** A partition with more records than this many times the keys keeps some that could go. */
const mostSlices = 16
/** Bytes gone through in one turn of the event loop, a few milliseconds' worth. */
const turnBytes = 512 << 10

/** The live sections of one partition in sealed segments; copied, since the index may move while they are read. */
interface SealedSections {
  readonly segments: Uint32Array
  readonly positions: Uint32Array
  readonly byteLengths: Uint32Array
  readonly records: number
}

/**
 * Finds what compaction may drop in the sealed segments of a partition: every
 * record with a later one of the same key in a sealed segment, and old
 * tombstones once no record of their key lies before them. Records in the
 * segment that is written to hide none: they may not be durable yet.
 *
 * @throws EngineError `log-damaged`, `log-disk`; StaleSegment when a segment goes meanwhile
 */
export async function findDeadRecords(
  journal: Journal,
  held: TopicPartition,
  limits: CompactionLimits,
  dead: DeadRecords,
  signal: AbortSignal,
): Promise<void> {
  const sealed = sealedSections(journal, held)
  const slices = Math.min(mostSlices, Math.max(1, Math.ceil(sealed.records / limits.keys)))
  for (let slice = 0; slice < slices && !signal.aborted; slice++) {
    await findInSlice(journal, sealed, held.start, slice, slices, limits, dead, signal)
  }
}

function sealedSections({ active }: Journal, { index }: TopicPartition): SealedSections {
  let end = index.length
  while (end > index.first && index.segments[end - 1] === active.number) end--
  let records = 0
  for (let row = index.first; row < end; row++) records += index.counts[row]!
  return {
    segments: index.segments.slice(index.first, end),
    positions: index.positions.slice(index.first, end),
    byteLengths: index.byteLengths.slice(index.first, end),
    records,
  }
}

interface Tombstone {
  readonly segment: number
  readonly position: number
  readonly count: number
  readonly record: number
  readonly sizeBytes: number
}

/** Goes from the newest record to the oldest: the first of a key is the one to keep. */
async function findInSlice(
  journal: Journal,
  { segments, positions, byteLengths }: SealedSections,
  start: number,
  slice: number,
  slices: number,
  limits: CompactionLimits,
  dead: DeadRecords,
  signal: AbortSignal,
): Promise<void> {
  const seen = new Set<string>()
  const tombstones = new Map<string, Tombstone>()
  let turn = 0
  for (let row = segments.length - 1; row >= 0 && !signal.aborted; row--) {
    const segment = segments[row]!
    const position = positions[row]!
    const bytes = readSection(journal, segment, position, byteLengths[row]!)
    const appendedAtMs = bytes.readDoubleLE(56)
    const records = sectionRecords(bytes, 0)
    for (let record = records.length - 1; record >= 0; record--) {
      const { offset, at, keyBytes, valueBytes, headerBytes } = records[record]!
      if (keyBytes < 0 || offset < start) continue
      if (slices > 1 && crc32c(bytes, at, at + keyBytes) % slices !== slice) continue
      const key = bytes.toString('latin1', at, at + keyBytes)
      const sizeBytes = keyBytes + Math.max(0, valueBytes) + Math.max(0, headerBytes) + 4
      if (seen.has(key)) {
        tombstones.delete(key)
        dead.add(segment, position, records.length, record, sizeBytes)
      } else if (seen.size < limits.keys) {
        seen.add(key)
        if (valueBytes < 0 && appendedAtMs < limits.tombstonesBeforeMs) {
          tombstones.set(key, { segment, position, count: records.length, record, sizeBytes })
        }
      }
    }
    turn += bytes.length
    if (turn < turnBytes) continue
    turn = 0
    await nextTurn()
  }
  if (signal.aborted) return
  for (const { segment, position, count, record, sizeBytes } of tombstones.values()) {
    dead.add(segment, position, count, record, sizeBytes)
  }
}

function readSection(journal: Journal, number: number, position: number, byteLength: number): Buffer {
  const { segment, file } = journal.acquire(number)
  try {
    const bytes = Buffer.allocUnsafeSlow(byteLength)
    const got = onDisk(segment.path, 'read', () =>
      readFully(journal.files, file, bytes, 0, byteLength, position),
    )
    if (got === byteLength && isSectionWhole(bytes, 0, byteLength)) return bytes
    const detail = 'the checksum of a section is wrong'
    throw new EngineError('log-damaged', { path: segment.path, position, detail })
  } finally {
    segment.release()
  }
}
