import type { TimestampMs } from '../contracts/units.ts'
import type { SlotSequences } from './slot-sequences.ts'
import { rowHeader, type TileLayout } from './tile-layout.ts'

/** A stretch of one slot's entries: rows `[row, rowEnd)` and raw events `[raw, rawEnd)`, by their places in the sequences. */
export interface EntryRange {
  raw: number
  rawEnd: number
  row: number
  rowEnd: number
}

/** Merges entries, oldest first: the events before a row, then the rows before the next event. */
export function mergeEntries(
  layout: TileLayout,
  cells: Float64Array,
  rawSequence: SlotSequences,
  rowSequence: SlotSequences,
  slot: number,
  { raw: rawFrom, rawEnd, row: rowFrom, rowEnd }: EntryRange,
  into: Float64Array,
  at: number,
): void {
  const rawStride = rawSequence.stride
  const raws = rawSequence.startOf(slot)
  let raw = rawFrom
  if (rowFrom < rowEnd) {
    const { stride } = rowSequence
    const rows = rowSequence.startOf(slot)
    let row = rowFrom
    while (row < rowEnd) {
      const rowMs = cells[rows + row * stride]!
      const rawBefore = raw
      while (raw < rawEnd && cells[raws + raw * rawStride]! < rowMs) raw++
      if (raw > rawBefore) {
        layout.addRaws(into, at, cells, raws + rawBefore * rawStride, rawStride, raw - rawBefore)
      }
      const nextRawMs = raw < rawEnd ? cells[raws + raw * rawStride]! : Number.POSITIVE_INFINITY
      const rowBefore = row++
      while (row < rowEnd && cells[rows + row * stride]! <= nextRawMs) row++
      layout.mergeRows(into, at, cells, rows + rowBefore * stride + rowHeader, stride, row - rowBefore)
    }
  }
  if (raw < rawEnd) layout.addRaws(into, at, cells, raws + raw * rawStride, rawStride, rawEnd - raw)
}

/** Index of the first of `count` items at or after `ms`; `count` if there is none. */
export function firstAtOrAfter(
  cells: Float64Array,
  start: number,
  stride: number,
  count: number,
  ms: TimestampMs,
): number {
  // The longest window begins at the oldest item; short ones begin near the newest: both are found at once.
  if (count === 0 || cells[start]! >= ms) return 0
  let high = count
  let step = 1
  while (high - step > 0 && cells[start + (high - step) * stride]! >= ms) {
    high -= step
    step *= 2
  }
  let low = Math.max(1, high - step + 1)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (cells[start + middle * stride]! < ms) low = middle + 1
    else high = middle
  }
  return low
}
