import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import type { DoubleArena } from './double-arena.ts'
import { KeptReads } from './kept-reads.ts'
import type { SlotSequences } from './slot-sequences.ts'
import { type SlotTable, slotInts } from './slot-table.ts'
import type { TileBlocks } from './tile-blocks.ts'
import { type EntryRange, firstAtOrAfter, mergeEntries } from './tile-entries.ts'
import type { TileLayout } from './tile-layout.ts'

/** An exact window of fewer events is folded as fast as it is looked up. */
const worthKeeping = 64

/** Reads of the slots of `TileSlots`: they change nothing but what is kept of them for the next. */
export class TileReads {
  /** Reads whose query time was older than the newest event less the disorder, and met a tile it could not split. */
  imprecise = 0

  readonly layout: TileLayout
  readonly #arena: DoubleArena
  readonly #table: SlotTable
  /** Where among a slot's whole numbers the number of its kept read is; 0 for none. */
  readonly #place: number
  readonly #raws: SlotSequences
  readonly #rows: SlotSequences
  readonly #blocks: TileBlocks
  readonly #kept: KeptReads
  readonly #range: EntryRange = { raw: 0, rawEnd: 0, row: 0, rowEnd: 0 }

  constructor(
    layout: TileLayout,
    arena: DoubleArena,
    table: SlotTable,
    place: number,
    raws: SlotSequences,
    rows: SlotSequences,
    blocks: TileBlocks,
  ) {
    this.layout = layout
    this.#arena = arena
    this.#table = table
    this.#place = place
    this.#raws = raws
    this.#rows = rows
    this.#blocks = blocks
    this.#kept = new KeptReads(layout.width)
  }

  /** True while something of the slot's last read is kept. */
  isKept(slot: number): boolean {
    return this.#table.ints[slot * slotInts + this.#place] !== 0
  }

  /** Forgets what is kept of a slot's last read. */
  forget(slot: number): void {
    this.#table.ints[slot * slotInts + this.#place] = 0
  }

  clear(): void {
    this.#kept.clear()
  }

  /**
   * Folds what windows of several lengths show at `queryMs`, that of
   * `oversMs[i]` into row i of `into`, `layout.width` doubles each: events with
   * `floor(queryMs - overMs, hop) <= eventTime < queryMs`. `merged[i]` becomes
   * the number of rows and events that were merged; 0 for an empty window.
   * Slot -1 is a key never seen.
   */
  windows(
    slot: number,
    queryMs: TimestampMs,
    oversMs: Float64Array,
    into: Float64Array,
    merged: Int32Array,
  ): void {
    const { layout } = this
    const { hopMs, width } = layout
    if (slot < 0) {
      merged.fill(0)
      for (let window = 0; window < oversMs.length; window++) layout.init(into, window * width)
      return
    }
    const { cells } = this.#arena
    const range = this.#range
    const hasBlocks = this.#blocks.countOf(slot) > 0
    const rawStride = this.#raws.stride
    const raws = this.#raws.startOf(slot)
    let rawEnd = this.#raws.countOf(slot)
    while (rawEnd > 0 && cells[raws + (rawEnd - 1) * rawStride]! >= queryMs) rawEnd--

    const stride = this.#rows.stride
    const rowCount = this.#rows.countOf(slot)
    const rows = this.#rows.startOf(slot)
    let rowEnd = rowCount
    // Tiles do not overlap, so only the newest can hold events at or after the query.
    while (rowEnd > 0 && cells[rows + (rowEnd - 1) * stride + 1]! >= queryMs) rowEnd--
    const isSplit = rowEnd < rowCount && cells[rows + rowEnd * stride]! < queryMs && hopMs !== Infinity

    for (let window = 0; window < oversMs.length; window++) {
      const overMs = oversMs[window]!
      const lowerMs =
        overMs === Infinity
          ? Number.NEGATIVE_INFINITY
          : hopMs > 0 && hopMs !== Infinity
            ? Math.floor((queryMs - overMs) / hopMs) * hopMs
            : queryMs - overMs
      const at = window * width
      if (hasBlocks && rowEnd === rowCount) {
        const count = this.#readBlocks(slot, window, oversMs, lowerMs, rawEnd, into, at)
        if (count > 0) {
          merged[window] = count
          continue
        }
      }
      const raw = firstAtOrAfter(cells, raws, rawStride, rawEnd, lowerMs)
      const row = firstAtOrAfter(cells, rows, stride, rowEnd, lowerMs)
      if (isSplit) this.imprecise++
      merged[window] = rawEnd - raw + (rowEnd - row)
      layout.init(into, at)
      if (row === rowEnd && !hasBlocks) {
        if (hopMs === 0 && rawEnd - raw >= worthKeeping) {
          this.#readExact(slot, window, oversMs, raw, rawEnd, into, at)
        } else if (raw < rawEnd) {
          layout.addRaws(into, at, cells, raws + raw * rawStride, rawStride, rawEnd - raw)
        }
        continue
      }
      range.raw = raw
      range.rawEnd = rawEnd
      range.row = row
      range.rowEnd = rowEnd
      if (hasBlocks) this.#blocks.merge(slot, lowerMs, queryMs, range, into, at)
      else mergeEntries(layout, cells, this.#raws, this.#rows, slot, range, into, at)
    }
  }

  #keptRead(slot: number, oversMs: Float64Array): number {
    const place = slot * slotInts + this.#place
    const number = this.#kept.numberOf(slot, this.#table.ints[place]!, oversMs)
    this.#table.ints[place] = number
    return number
  }

  /** Folds the events `[raw, rawEnd)` into an initial row, or says again what they were when they were last read. */
  #readExact(
    slot: number,
    window: number,
    oversMs: Float64Array,
    raw: number,
    rawEnd: number,
    into: Float64Array,
    at: number,
  ): void {
    const number = this.#keptRead(slot, oversMs)
    if (this.#kept.copy(number, window, raw, rawEnd, into, at) >= 0) return
    const { stride } = this.#raws
    const start = this.#raws.startOf(slot)
    this.layout.addRaws(into, at, this.#arena.cells, start + raw * stride, stride, rawEnd - raw)
    this.#kept.keep(number, window, raw, rawEnd, rawEnd - raw, into, at)
  }

  /**
   * The window of a busy key whose newest row is in it: all before that row is
   * kept from one read to the next, the rest is merged behind it, in the order
   * as ever. Returns how much was merged; 0 where the window is none of these.
   */
  #readBlocks(
    slot: number,
    window: number,
    oversMs: Float64Array,
    lowerMs: TimestampMs,
    rawEnd: number,
    into: Float64Array,
    at: number,
  ): number {
    const { cells } = this.#arena
    const rows = this.#rows.countOf(slot)
    // Events of many tiles and no row at all are merged as ever.
    if (rows === 0) return 0
    const tileMs = cells[this.#rows.startOf(slot) + (rows - 1) * this.#rows.stride]!
    // A block that holds the newest row is merged whole.
    if (!(lowerMs < tileMs) || this.#blocks.madeTo(slot) > tileMs) return 0
    const { layout } = this
    const range = this.#range
    const raws = this.#raws.startOf(slot)
    const rawStride = this.#raws.stride
    const raw = firstAtOrAfter(cells, raws, rawStride, rawEnd, tileMs)
    const number = this.#keptRead(slot, oversMs)
    let count = this.#kept.copy(number, window, lowerMs, raw, into, at)
    if (count < 0) {
      range.raw = firstAtOrAfter(cells, raws, rawStride, raw, lowerMs)
      range.rawEnd = raw
      range.row = firstAtOrAfter(cells, this.#rows.startOf(slot), this.#rows.stride, rows - 1, lowerMs)
      range.rowEnd = rows - 1
      count = raw - range.raw + (rows - 1 - range.row)
      layout.init(into, at)
      this.#blocks.merge(slot, lowerMs, tileMs, range, into, at)
      this.#kept.keep(number, window, lowerMs, raw, count, into, at)
    }
    range.raw = raw
    range.rawEnd = rawEnd
    range.row = rows - 1
    range.rowEnd = rows
    mergeEntries(layout, cells, this.#raws, this.#rows, slot, range, into, at)
    return count + rawEnd - raw + 1
  }

  /**
   * Cell index of the raw event with the greatest (eventTime, arrival) with
   * `queryMs - ttlMs <= eventTime <= queryMs`, or -1. Its values follow at index + 1 in `cells`.
   */
  latest(slot: number, queryMs: TimestampMs, ttlMs: DurationMs): number {
    if (slot < 0) return -1
    const { cells } = this.#arena
    const { stride } = this.#raws
    const start = this.#raws.startOf(slot)
    for (let cell = start + (this.#raws.countOf(slot) - 1) * stride; cell >= start; cell -= stride) {
      const atMs = cells[cell]!
      if (atMs > queryMs) continue
      return atMs >= queryMs - ttlMs ? cell : -1
    }
    return -1
  }
}
