import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import type { DoubleArena } from './double-arena.ts'
import { SlotSequences } from './slot-sequences.ts'
import { type SlotTable, slotDoubles } from './slot-table.ts'
import { type EntryRange, firstAtOrAfter, mergeEntries } from './tile-entries.ts'
import type { TileLayout } from './tile-layout.ts'

/** Tiles of a block. */
const tilesOfBlock = 32
/** Fewer entries are merged as fast one by one. */
const leastEntries = 24
/** Doubles before a block's columns: `[ start of block | raw events in it | rows in it | columns … ]`. */
const blockHeader = 3

/** Where the blocks have their numbers in a slot's line. */
export interface BlockPlaces {
  /** Among the whole numbers. */
  readonly sequence: number
  /** Among the doubles. */
  readonly madeToMs: number
}

/**
 * The second level of a slot's tiles: where 32 of them in a row, aligned to
 * the epoch, are full of entries and only a late event can change them, their
 * merge is kept, so that a long window of a busy key merges dozens of rows and
 * not hundreds.
 *
 * Which blocks there are depends on the key's events alone, so that live and
 * replay merge in the same order. They are made of the entries and not saved.
 */
export class TileBlocks {
  /** Length of a block; 0 where the windows are too short for blocks. */
  readonly spanMs: DurationMs
  readonly #layout: TileLayout
  readonly #arena: DoubleArena
  readonly #rows: SlotSequences
  readonly #raws: SlotSequences
  readonly #blocks: SlotSequences
  readonly #table: SlotTable
  readonly #madeToMs: number
  readonly #range: EntryRange = { raw: 0, rawEnd: 0, row: 0, rowEnd: 0 }

  constructor(
    layout: TileLayout,
    arena: DoubleArena,
    table: SlotTable,
    places: BlockPlaces,
    raws: SlotSequences,
    rows: SlotSequences,
  ) {
    const { hopMs, retentionMs } = layout
    const isLong = hopMs > 0 && hopMs !== Infinity && retentionMs / hopMs >= 2 * tilesOfBlock
    this.spanMs = isLong ? tilesOfBlock * hopMs : 0
    this.#layout = layout
    this.#arena = arena
    this.#table = table
    this.#madeToMs = places.madeToMs
    this.#raws = raws
    this.#rows = rows
    this.#blocks = new SlotSequences(arena, table, places.sequence, blockHeader + layout.width)
  }

  open(slot: number): void {
    this.#table.doubles[slot * slotDoubles + this.#madeToMs] = Number.NEGATIVE_INFINITY
  }

  release(slot: number): void {
    if (this.spanMs > 0) this.#blocks.release(slot)
  }

  countOf(slot: number): number {
    return this.#blocks.countOf(slot)
  }

  /** Everything before the horizon has settled: blocks that end there or before are made. */
  settled(slot: number, horizonMs: TimestampMs): void {
    const { spanMs } = this
    if (spanMs === 0 || horizonMs < this.madeTo(slot) + spanMs) return
    const toMs = Math.floor(horizonMs / spanMs) * spanMs
    const fromMs = this.madeTo(slot)
    this.#table.doubles[slot * slotDoubles + this.#madeToMs] = toMs
    const raws = this.#raws.countOf(slot)
    const rows = this.#rows.countOf(slot)
    let raw = firstAtOrAfter(this.#arena.cells, this.#raws.startOf(slot), this.#raws.stride, raws, fromMs)
    let row = firstAtOrAfter(this.#arena.cells, this.#rows.startOf(slot), this.#rows.stride, rows, fromMs)
    // Of so few no block is made: the common case of a key that is not busy.
    if (raws - raw + (rows - row) < leastEntries) return
    for (;;) {
      const nextMs = Math.min(this.#timeOf(this.#raws, slot, raw), this.#timeOf(this.#rows, slot, row))
      if (!(nextMs < toMs)) return
      const blockMs = Math.floor(nextMs / spanMs) * spanMs
      const rawFrom = raw
      const rowFrom = row
      while (this.#timeOf(this.#raws, slot, raw) < blockMs + spanMs) raw++
      while (this.#timeOf(this.#rows, slot, row) < blockMs + spanMs) row++
      this.#make(slot, blockMs, rawFrom, raw, rowFrom, row)
    }
  }

  /** An event was added to its tile after that had settled: its block is made again. */
  changed(slot: number, atMs: TimestampMs): void {
    const { spanMs } = this
    if (spanMs === 0 || atMs >= this.madeTo(slot)) return
    const blockMs = Math.floor(atMs / spanMs) * spanMs
    const { cells } = this.#arena
    const index = this.#find(slot, blockMs)
    if (index < this.#blocks.countOf(slot) && this.#timeOf(this.#blocks, slot, index) === blockMs) {
      this.#blocks.remove(slot, index, 1)
    }
    const place = (sequence: SlotSequences, ms: TimestampMs) =>
      firstAtOrAfter(cells, sequence.startOf(slot), sequence.stride, sequence.countOf(slot), ms)
    this.#make(
      slot,
      blockMs,
      place(this.#raws, blockMs),
      place(this.#raws, blockMs + spanMs),
      place(this.#rows, blockMs),
      place(this.#rows, blockMs + spanMs),
    )
  }

  /** Entries before `oldestMs` are gone, and with them the blocks that they are in. */
  expire(slot: number, oldestMs: TimestampMs): void {
    if (this.spanMs === 0) return
    let gone = 0
    while (this.#timeOf(this.#blocks, slot, gone) < oldestMs) gone++
    if (gone > 0) this.#blocks.removeFirst(slot, gone)
  }

  /** Merges entries of `[lowerMs, queryMs)`, whose places are `within`, by blocks where there are. */
  merge(
    slot: number,
    lowerMs: TimestampMs,
    queryMs: TimestampMs,
    within: EntryRange,
    into: Float64Array,
    at: number,
  ): void {
    const { cells } = this.#arena
    const { stride } = this.#blocks
    const blocks = this.#blocks.startOf(slot)
    const count = this.#blocks.countOf(slot)
    const range = this.#range
    range.raw = within.raw
    range.row = within.row
    let index = this.#find(slot, lowerMs)
    while (index < count && cells[blocks + index * stride]! + this.spanMs <= queryMs) {
      const block = blocks + index * stride
      const startMs = cells[block]!
      range.rawEnd = this.#placeBefore(this.#raws, slot, range.raw, startMs)
      range.rowEnd = this.#placeBefore(this.#rows, slot, range.row, startMs)
      mergeEntries(this.#layout, cells, this.#raws, this.#rows, slot, range, into, at)
      range.raw = range.rawEnd
      range.row = range.rowEnd
      // As many as stand side by side with nothing between.
      let run = 0
      do {
        range.raw += cells[block + run * stride + 1]!
        range.row += cells[block + run * stride + 2]!
        run++
      } while (
        index + run < count &&
        cells[block + run * stride] === startMs + run * this.spanMs &&
        startMs + (run + 1) * this.spanMs <= queryMs
      )
      this.#layout.mergeRows(into, at, cells, block + blockHeader, stride, run)
      index += run
    }
    range.rawEnd = within.rawEnd
    range.rowEnd = within.rowEnd
    mergeEntries(this.#layout, cells, this.#raws, this.#rows, slot, range, into, at)
  }

  #make(slot: number, blockMs: TimestampMs, raw: number, rawEnd: number, row: number, rowEnd: number): void {
    if (rawEnd - raw + (rowEnd - row) < leastEntries) return
    const block = this.#blocks.insert(slot, this.#find(slot, blockMs))
    const { cells } = this.#arena
    cells[block] = blockMs
    cells[block + 1] = rawEnd - raw
    cells[block + 2] = rowEnd - row
    this.#layout.init(cells, block + blockHeader)
    const range = { raw, rawEnd, row, rowEnd }
    mergeEntries(this.#layout, cells, this.#raws, this.#rows, slot, range, cells, block + blockHeader)
  }

  /** Blocks are made up to here. */
  madeTo(slot: number): TimestampMs {
    return this.#table.doubles[slot * slotDoubles + this.#madeToMs]!
  }

  #find(slot: number, ms: TimestampMs): number {
    const { cells } = this.#arena
    const sequence = this.#blocks
    return firstAtOrAfter(cells, sequence.startOf(slot), sequence.stride, sequence.countOf(slot), ms)
  }

  /** Place of the first item from `from` on that is not before `ms`: `from` itself, mostly. */
  #placeBefore(sequence: SlotSequences, slot: number, from: number, ms: TimestampMs): number {
    const { cells } = this.#arena
    const { stride } = sequence
    const start = sequence.startOf(slot)
    const count = sequence.countOf(slot)
    let place = from
    while (place < count && cells[start + place * stride]! < ms) place++
    return place
  }

  /** Infinity behind the last. */
  #timeOf(sequence: SlotSequences, slot: number, index: number): TimestampMs {
    if (index >= sequence.countOf(slot)) return Number.POSITIVE_INFINITY
    return this.#arena.cells[sequence.startOf(slot) + index * sequence.stride]!
  }
}
