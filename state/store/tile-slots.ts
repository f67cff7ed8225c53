import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import { DoubleArena } from './double-arena.ts'
import { SlotSequences, sequenceInts } from './slot-sequences.ts'
import { SlotTable, slotDoubles, slotInts } from './slot-table.ts'
import { TileBlocks } from './tile-blocks.ts'
import { firstAtOrAfter } from './tile-entries.ts'
import { rowHeader, type TileLayout } from './tile-layout.ts'
import { TileReads } from './tile-reads.ts'

/** Among a slot's doubles: the time of the newest event, and how far blocks are made. */
const newest = 0
const madeToMs = 1
/** Among its whole numbers, behind the doubles. */
const rowsPlace = 4
const rawsPlace = rowsPlace + sequenceInts
const blocksPlace = rawsPlace + sequenceInts
const settled = blocksPlace + sequenceInts
/** The number of the read that is kept of it; 0 for none. */
const keptRead = settled + 1

/**
 * Windowed state of many keys, each in a slot: raw events, newest last, and
 * rows, the partial aggregates of one tile each.
 *
 *        row     few     row            tail
 *     [ 09:00 ]  ● ●  [ 11:00 ]   ● ●   ●● ●  ← newest event of the key
 *                             ◀── disorder ──▶
 *
 * An event enters the tail in (event time, arrival) order and settles when the
 * key has seen an event more than `disorderMs` newer: it joins its tile, whose
 * events stay as they are while they are few, and are folded to a row when
 * they are more. One that arrives later than that joins its tile at once. So a strict read "before q" is exact for
 * every q down to the newest event less the disorder, equal instants included,
 * and everything depends on the key's own events alone, never on how keys
 * share a task.
 *
 * One canonical order for floating point: tiles oldest first, then the tail.
 */
export class TileSlots {
  readonly layout: TileLayout
  /** Events older than every window that can still be read. */
  expiredEvents = 0

  readonly #arena = new DoubleArena()
  readonly #table = new SlotTable()
  readonly #rows: SlotSequences
  readonly #raws: SlotSequences
  readonly #blocks: TileBlocks
  readonly #reads: TileReads

  constructor(layout: TileLayout) {
    this.layout = layout
    this.#rows = new SlotSequences(this.#arena, this.#table, rowsPlace, rowHeader + layout.width)
    this.#raws = new SlotSequences(this.#arena, this.#table, rawsPlace, 1 + layout.inputs)
    this.#blocks = new TileBlocks(
      layout,
      this.#arena,
      this.#table,
      { sequence: blocksPlace, madeToMs },
      this.#raws,
      this.#rows,
    )
    this.#reads = new TileReads(
      layout,
      this.#arena,
      this.#table,
      keptRead,
      this.#raws,
      this.#rows,
      this.#blocks,
    )
  }

  /** See `TileReads.imprecise`. */
  get impreciseReads(): number {
    return this.#reads.imprecise
  }

  /** Bytes of the arena, used or reusable. */
  get memoryBytes(): number {
    return this.#arena.size * 8
  }

  /** The arena's memory, for `readLatest`. */
  get cells(): Float64Array {
    return this.#arena.cells
  }

  /** Makes a slot empty, as of a key never seen. */
  open(slot: number): void {
    this.#table.open(slot)
    this.#setNewest(slot, Number.NEGATIVE_INFINITY)
    this.#blocks.open(slot)
  }

  release(slot: number): void {
    this.#rows.release(slot)
    this.#raws.release(slot)
    this.#blocks.release(slot)
  }

  /** Forgets every slot. */
  clear(): void {
    this.#arena.clear()
    this.#reads.clear()
  }

  /** Takes an event in. `values` holds `layout.inputs` doubles, NaN for null. */
  add(slot: number, atMs: TimestampMs, values: Float64Array): void {
    const { disorderMs, hopMs } = this.layout
    const before = this.#newestOf(slot)
    const hasRead = this.#reads.isKept(slot)
    if (hasRead && (hopMs === 0 || atMs < before - disorderMs)) this.#reads.forget(slot)
    if (atMs < before - disorderMs) {
      this.#addLate(slot, atMs, values)
      return
    }
    this.#insertRaw(slot, atMs, values)
    if (atMs <= before) return
    this.#setNewest(slot, atMs)
    const horizonMs = atMs - disorderMs
    if (hopMs === 0) {
      this.#pruneRaws(slot, horizonMs)
    } else if (hasRead) {
      // What settles is of the newest row's tile or later: until that row is another, all before it stays as it is.
      const tileMs = this.#newestTile(slot)
      this.#fold(slot, horizonMs)
      if (tileMs !== this.#newestTile(slot)) this.#reads.forget(slot)
    } else {
      this.#fold(slot, horizonMs)
    }
  }

  /** Everything before the horizon has settled. */
  #fold(slot: number, horizonMs: TimestampMs): void {
    this.#settle(slot, horizonMs)
    this.#blocks.settled(slot, horizonMs)
    if (this.layout.hopMs !== Infinity) this.#expire(slot, horizonMs)
  }

  /** See `TileReads.windows`. */
  readWindows(
    slot: number,
    queryMs: TimestampMs,
    oversMs: Float64Array,
    into: Float64Array,
    merged: Int32Array,
  ): void {
    this.#reads.windows(slot, queryMs, oversMs, into, merged)
  }

  /** See `TileReads.latest`. */
  readLatest(slot: number, queryMs: TimestampMs, ttlMs: DurationMs): number {
    return this.#reads.latest(slot, queryMs, ttlMs)
  }

  /** Doubles that `save` writes. */
  sizeOf(slot: number): number {
    return 2 + this.#raws.countOf(slot) * this.#raws.stride + this.#rows.countOf(slot) * this.#rows.stride
  }

  /** Writes `[newest | raw events | raws … | rows …]` to `into[at …]`. */
  save(slot: number, into: Float64Array, at: number): void {
    const { cells } = this.#arena
    let place = at
    into[place++] = this.#newestOf(slot)
    into[place++] = this.#raws.countOf(slot)
    for (const sequence of [this.#raws, this.#rows]) {
      const start = sequence.startOf(slot)
      const end = start + sequence.countOf(slot) * sequence.stride
      // Most are short: a loop is faster than a view and its copy.
      for (let cell = start; cell < end; cell++) into[place++] = cells[cell]!
    }
  }

  /** Fills an open slot with what `save` wrote. */
  load(slot: number, saved: Float64Array): void {
    const savedMs = saved[0]!
    const rows = 2 + saved[1]! * this.#raws.stride
    this.#setNewest(slot, savedMs)
    this.#raws.load(slot, saved.subarray(2, rows))
    this.#rows.load(slot, saved.subarray(rows))
    if (this.layout.rawsPerTile > 0) {
      const { cells } = this.#arena
      const horizonMs = savedMs - this.layout.disorderMs
      this.#setSettled(
        slot,
        firstAtOrAfter(
          cells,
          this.#raws.startOf(slot),
          this.#raws.stride,
          this.#raws.countOf(slot),
          horizonMs,
        ),
      )
    }
    this.#blocks.settled(slot, savedMs - this.layout.disorderMs)
  }

  /** Puts a raw event behind all that are not newer. */
  #insertRaw(slot: number, atMs: TimestampMs, values: Float64Array): void {
    const { stride } = this.#raws
    let { cells } = this.#arena
    const start = this.#raws.startOf(slot)
    let index = this.#raws.countOf(slot)
    while (index > 0 && cells[start + (index - 1) * stride]! > atMs) index--
    const cell = this.#raws.insert(slot, index)
    cells = this.#arena.cells
    cells[cell] = atMs
    for (let input = 1; input < stride; input++) cells[cell + input] = values[input - 1]!
  }

  /** Raw events older than the horizon join their tiles: the row, or the few that have settled there. */
  #settle(slot: number, horizonMs: TimestampMs): void {
    const { rawsPerTile } = this.layout
    const { stride } = this.#raws
    const count = this.#raws.countOf(slot)
    const start = this.#raws.startOf(slot)
    let { cells } = this.#arena
    let kept = this.#settledOf(slot)
    let index = kept
    for (; index < count; index++) {
      const cell = start + index * stride
      const atMs = cells[cell]!
      if (atMs >= horizonMs) break
      const tileMs = this.#tileOf(atMs)
      if (rawsPerTile === 0 || this.#newestTile(slot) === tileMs) {
        this.#addToRow(slot, atMs, cells, cell + 1)
        cells = this.#arena.cells
        continue
      }
      if (kept < index) cells.copyWithin(start + kept * stride, cell, cell + stride)
      kept++
      const first = kept - 1 - rawsPerTile
      if (first >= 0 && cells[start + first * stride]! >= tileMs) {
        this.#foldToRow(slot, start + first * stride, kept - first)
        cells = this.#arena.cells
        kept = first
      }
    }
    this.#setSettled(slot, kept)
    if (index === kept) return
    if (kept === 0) this.#raws.removeFirst(slot, index)
    else this.#raws.remove(slot, kept, index - kept)
  }

  /** Forgets raw events that no exact window and no lookup can reach any more. */
  #pruneRaws(slot: number, horizonMs: TimestampMs): void {
    const { retentionMs, keepsLatest } = this.layout
    const { stride } = this.#raws
    const { cells } = this.#arena
    const count = this.#raws.countOf(slot)
    const start = this.#raws.startOf(slot)
    const oldestMs = keepsLatest ? horizonMs : horizonMs - retentionMs
    let dropped = 0
    while (dropped < count && cells[start + dropped * stride]! < oldestMs) dropped++
    // A lookup at the horizon sees the newest event before it.
    if (keepsLatest && dropped > 0) dropped--
    if (dropped > 0) this.#raws.removeFirst(slot, dropped)
  }

  #addLate(slot: number, atMs: TimestampMs, values: Float64Array): void {
    const { hopMs, retentionMs, disorderMs, keepsLatest, rawsPerTile } = this.layout
    const horizonMs = this.#newestOf(slot) - disorderMs
    if (hopMs === 0) {
      if (!keepsLatest && atMs < horizonMs - retentionMs) {
        this.expiredEvents++
        return
      }
      this.#insertRaw(slot, atMs, values)
      this.#pruneRaws(slot, horizonMs)
      return
    }
    if (hopMs !== Infinity && atMs < Math.floor((horizonMs - retentionMs) / hopMs) * hopMs) {
      this.expiredEvents++
      return
    }
    if (rawsPerTile === 0 || this.#hasRow(slot, this.#tileOf(atMs))) {
      this.#addToRow(slot, atMs, values, 0)
    } else {
      this.#addToFew(slot, atMs, values)
    }
    this.#blocks.changed(slot, atMs)
  }

  /** Adds a late event to the few that its tile has. */
  #addToFew(slot: number, atMs: TimestampMs, values: Float64Array): void {
    const { rawsPerTile } = this.layout
    const { stride } = this.#raws
    const tileMs = this.#tileOf(atMs)
    this.#insertRaw(slot, atMs, values)
    const count = this.#settledOf(slot) + 1
    const start = this.#raws.startOf(slot)
    const first = firstAtOrAfter(this.#arena.cells, start, stride, count, tileMs)
    const last = first + rawsPerTile
    if (last < count && this.#tileOf(this.#arena.cells[start + last * stride]!) === tileMs) {
      this.#foldToRow(slot, start + first * stride, rawsPerTile + 1)
      this.#raws.remove(slot, first, rawsPerTile + 1)
      this.#setSettled(slot, count - rawsPerTile - 1)
    } else {
      this.#setSettled(slot, count)
    }
  }

  /** Event time of the key's newest event. */
  #newestOf(slot: number): TimestampMs {
    return this.#table.doubles[slot * slotDoubles + newest]!
  }

  #setNewest(slot: number, atMs: TimestampMs): void {
    this.#table.doubles[slot * slotDoubles + newest] = atMs
  }

  /** How many raw events have settled: the oldest of the slot's. */
  #settledOf(slot: number): number {
    return this.#table.ints[slot * slotInts + settled]!
  }

  #setSettled(slot: number, count: number): void {
    this.#table.ints[slot * slotInts + settled] = count
  }

  #tileOf(atMs: TimestampMs): TimestampMs {
    const { hopMs } = this.layout
    return hopMs === Infinity ? 0 : Math.floor(atMs / hopMs) * hopMs
  }

  /** Start of the newest row's tile; NaN without rows. */
  #newestTile(slot: number): TimestampMs {
    const { stride } = this.#rows
    const count = this.#rows.countOf(slot)
    return count === 0 ? Number.NaN : this.#arena.cells[this.#rows.startOf(slot) + (count - 1) * stride]!
  }

  #hasRow(slot: number, tileMs: TimestampMs): boolean {
    const { stride } = this.#rows
    const { cells } = this.#arena
    const count = this.#rows.countOf(slot)
    const start = this.#rows.startOf(slot)
    const index = firstAtOrAfter(cells, start, stride, count, tileMs)
    return index < count && cells[start + index * stride] === tileMs
  }

  /** Folds events of one tile, which has no row, to one. */
  #foldToRow(slot: number, from: number, count: number): void {
    for (let cell = from; cell < from + count * this.#raws.stride; cell += this.#raws.stride) {
      this.#addToRow(slot, this.#arena.cells[cell]!, this.#arena.cells, cell + 1)
    }
  }

  /** Adds an event to its row, made in its place if new. `values` may be the arena's cells as they are now. */
  #addToRow(slot: number, atMs: TimestampMs, values: Float64Array, valuesAt: number): void {
    const { stride } = this.#rows
    const tileMs = this.#tileOf(atMs)
    const inArena = values === this.#arena.cells
    const start = this.#rows.startOf(slot)
    let { cells } = this.#arena
    let index = this.#rows.countOf(slot) - 1
    while (index >= 0 && cells[start + index * stride]! > tileMs) index--
    let row = start + index * stride
    if (index < 0 || cells[row]! !== tileMs) {
      row = this.#rows.insert(slot, index + 1)
      cells = this.#arena.cells
      cells[row] = tileMs
      cells[row + 1] = Number.NEGATIVE_INFINITY
      this.layout.init(cells, row + rowHeader)
    }
    if (atMs > cells[row + 1]!) cells[row + 1] = atMs
    this.layout.add(cells, row + rowHeader, inArena ? cells : values, valuesAt, atMs)
  }

  /** Drops tiles that no window can reach any more. */
  #expire(slot: number, horizonMs: TimestampMs): void {
    const { hopMs, retentionMs } = this.layout
    const oldestMs = Math.floor((horizonMs - retentionMs) / hopMs) * hopMs
    const { cells } = this.#arena
    const rows = countBefore(
      cells,
      this.#rows.startOf(slot),
      this.#rows.stride,
      this.#rows.countOf(slot),
      oldestMs,
    )
    if (rows > 0) this.#rows.removeFirst(slot, rows)
    const singles = countBefore(
      cells,
      this.#raws.startOf(slot),
      this.#raws.stride,
      this.#settledOf(slot),
      oldestMs,
    )
    if (singles > 0) {
      this.#raws.removeFirst(slot, singles)
      this.#setSettled(slot, this.#settledOf(slot) - singles)
    }
    this.#blocks.expire(slot, oldestMs)
  }
}

/** How many of `count` items, oldest first, are before `ms`: none or one, mostly. */
function countBefore(cells: Float64Array, start: number, stride: number, count: number, ms: number): number {
  let before = 0
  while (before < count && cells[start + before * stride]! < ms) before++
  return before
}
