import type { ReadRequest } from './log.ts'
import type { SectionIndex } from './section-index.ts'
import type { TopicPartition } from './topic-catalog.ts'

/** The sections that one read wants, copied from the index, which may change while the read waits for the disk. */
export interface ReadPlan {
  readonly segments: readonly number[]
  readonly positions: readonly number[]
  readonly byteLengths: readonly number[]
  /** At most so many records can come of it. */
  readonly capacity: number
  /** Where the section after the planned ones begins, or the end. */
  readonly nextOffset: number
}

/** One buffer holds all that is read at once, and its places are 32-bit. */
const largestReadBytes = 1 << 30
/** Field bytes that the smallest record has. */
const smallestRecordBytes = 3

/**
 * Plans a read of about `request.maxBytes` from `offset` on. Undefined when
 * nothing is there. `together` says whether a section can be read in one go
 * with the first: the plan ends before the first that cannot.
 */
export function planRead(
  held: TopicPartition,
  offset: number,
  request: ReadRequest,
  together: (index: SectionIndex, first: number, row: number) => boolean,
): ReadPlan | undefined {
  const { index } = held
  if (index.first === index.length || offset >= held.end) return undefined
  const maxRecords = request.maxRecords ?? Number.POSITIVE_INFINITY
  const segments: number[] = []
  const positions: number[] = []
  const byteLengths: number[] = []
  const first = index.rowOf(offset)
  let row = first
  let records = 0
  let wantedBytes = 0
  let totalBytes = 0
  while (row < index.length && wantedBytes < request.maxBytes && records < maxRecords) {
    const byteLength = index.byteLengths[row]!
    const count = index.counts[row]!
    if (row > first && (totalBytes + byteLength > largestReadBytes || !together(index, first, row))) break
    // Of the first section, only what lies at or after the offset counts towards the limits.
    const skipped = Math.min(count, Math.max(0, offset - index.baseOffsets[row]!))
    segments.push(index.segments[row]!)
    positions.push(index.positions[row]!)
    byteLengths.push(byteLength)
    totalBytes += byteLength
    wantedBytes += byteLength * (1 - skipped / count)
    records += count - skipped
    row++
  }
  const byBytes = Math.ceil(request.maxBytes / smallestRecordBytes) + 1
  return {
    segments,
    positions,
    byteLengths,
    capacity: Math.min(sum(index.counts, first, row), maxRecords, byBytes, totalBytes),
    nextOffset: row < index.length ? index.baseOffsets[row]! : held.end,
  }
}

function sum(values: Uint32Array, from: number, to: number): number {
  let total = 0
  for (let at = from; at < to; at++) total += values[at]!
  return total
}

/** @throws RangeError when a limit of the request is not a number from 1 */
export function checkReadLimits({ maxBytes, maxRecords }: ReadRequest): void {
  if (!(maxBytes >= 1)) throw new RangeError(`maxBytes must be at least 1, got ${maxBytes}`)
  if (maxRecords !== undefined && !(maxRecords >= 1)) {
    throw new RangeError(`maxRecords must be at least 1, got ${maxRecords}`)
  }
}
