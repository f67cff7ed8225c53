import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import type { Database, DatabaseWrite } from './database.ts'
import { blockSize, DoubleArena } from './double-arena.ts'
import { decodeKey, encodeKey } from './key-encoding.ts'
import type { StateStore } from './state-store.ts'

/** What one row of a tile store folds; compiled from the features that share the rows. */
export interface TileLayout {
  /** Names windows, columns and inputs: state of another id has other columns. */
  readonly id: string
  /**
   * Length of a tile, aligned to the epoch. `Infinity`: one tile for all time.
   * 0: no tiles, the raw events answer.
   */
  readonly hopMs: DurationMs
  /** Longest window that is read; `Infinity` keeps for ever. */
  readonly retentionMs: DurationMs
  /** How far behind the key's newest event a read or a write may be and still be exact. */
  readonly disorderMs: DurationMs
  /** Keep the newest raw event even when it is older than the retention: lookups. */
  readonly keepsLatest: boolean
  /** Doubles of a raw event, its time not counted. */
  readonly inputs: number
  /** Doubles of a row, its header not counted. */
  readonly width: number
  init(cells: Float64Array, at: number): void
  add(cells: Float64Array, at: number, values: Float64Array, valuesAt: number, atMs: TimestampMs): void
  /** Rows oldest first; row i's columns start at `from + i * stride`. */
  mergeRows(
    into: Float64Array,
    at: number,
    rows: Float64Array,
    from: number,
    stride: number,
    count: number,
  ): void
}

/** One entity key in the form that a Map compares cheaply; see `packKey`. */
export type PackedKey = number | string | bigint

export interface TileStoreOptions {
  readonly name: string
  readonly layout: TileLayout
  /** Parts of an entity key, from 1. */
  readonly keyParts: number
  /** Keys kept in memory; more are evicted once a checkpoint holds them. */
  readonly maxKeys?: number
}

/**
 * Doubles before a row's columns:
 *
 *     [ start of tile | newest event in it | number of events | columns … ]
 */
const rowHeader = 3

const preloadLimit = 20_000
const defaultMaxKeys = 1_000_000

/**
 * Windowed state per key: a tail of raw events, newest last, and behind it
 * tiles, partial aggregates of one hop each.
 *
 *        tile   tile   tile            tail
 *     [ 09:00 | 10:00 | 11:00 ]   ● ●   ●● ●  ← newest event of the key
 *                             ◀── disorder ──▶
 *
 * An event enters the tail in (event time, arrival) order and moves to its
 * tile when the key has seen an event more than `disorderMs` newer; one that
 * arrives later than that is added to its tile at once. So a strict read
 * "before q" is exact for every q down to the newest event less the disorder,
 * equal instants included, and everything depends on the key's own events
 * alone, never on how keys share a task.
 *
 * One canonical order for floating point: tiles oldest first, then the tail.
 */
export class TileStore implements StateStore {
  readonly name: string
  readonly layout: TileLayout
  /** Reads whose query time was older than the newest event less the disorder, and met a tile it could not split. */
  impreciseReads = 0
  /** Events older than every window that can still be read. */
  expiredEvents = 0
  dirtyBytes = 0

  readonly #keyParts: number
  readonly #maxKeys: number
  readonly #arena = new DoubleArena()
  readonly #stride: number
  readonly #rawStride: number
  readonly #slots = new Map<PackedKey, number>()
  readonly #freeSlots: number[] = []
  #keys: PackedKey[] = []
  #slotCount = 0
  // Per slot. Rows and raw events are contiguous: [at + head * stride, … count rows).
  #rowsAt = new Int32Array(1024)
  #rowsCapacity = new Int32Array(1024)
  #rowsHead = new Int32Array(1024)
  #rowsCount = new Int32Array(1024)
  #tailAt = new Int32Array(1024)
  #tailCapacity = new Int32Array(1024)
  #tailCount = new Int32Array(1024)
  #newestMs = new Float64Array(1024)
  /** Bit 0: changed since the last collect. Bit 1: used since the clock hand passed. Bit 2: in the database. */
  #flags = new Uint8Array(1024)
  #dirty: number[] = []
  /** Everything that the database holds is in memory too, so an unknown key is a new key. */
  #complete = true
  #hand = 0

  constructor({ name, layout, keyParts, maxKeys = defaultMaxKeys }: TileStoreOptions) {
    this.name = name
    this.layout = layout
    this.#keyParts = keyParts
    this.#maxKeys = maxKeys
    this.#stride = rowHeader + layout.width
    this.#rawStride = 1 + layout.inputs
  }

  get layoutId(): string {
    return this.layout.id
  }

  /** Keys in memory. */
  get size(): number {
    return this.#slots.size
  }

  /** Bytes of the arena, used or reusable. */
  get memoryBytes(): number {
    return this.#arena.size * 8
  }

  /** True while memory holds everything that the database holds. */
  get isComplete(): boolean {
    return this.#complete
  }

  /** True when the key's state has to be read from the database before `slotOf`. */
  isMissing(key: PackedKey): boolean {
    return !this.#complete && !this.#slots.has(key)
  }

  /** Loads keys that `isMissing` named, with one read. */
  async prefetch(database: Database, keys: readonly PackedKey[]): Promise<void> {
    const values = await database.getMany(
      this.name,
      keys.map((key) => encodeKey(unpackKey(key, this.#keyParts))),
    )
    for (const [index, key] of keys.entries()) {
      if (this.#slots.has(key)) continue
      const slot = this.#newSlot(key)
      const value = values[index]
      if (value !== undefined) this.#load(slot, value)
    }
  }

  /** The slot of a key, new and empty if it was never seen. Valid until the next `evict`. */
  slotOf(key: PackedKey): number {
    return this.#slots.get(key) ?? this.#newSlot(key)
  }

  /** The slot of a key, or -1; never creates one, so a read changes nothing. */
  find(key: PackedKey): number {
    const slot = this.#slots.get(key)
    if (slot === undefined) return -1
    this.#flags[slot] = this.#flags[slot]! | 2
    return slot
  }

  /** Takes an event in. `values` holds `layout.inputs` doubles, NaN for null. */
  add(slot: number, atMs: TimestampMs, values: Float64Array): void {
    const { disorderMs, hopMs } = this.layout
    const before = this.#newestMs[slot]!
    if (atMs < before - disorderMs) {
      this.#addLate(slot, atMs, values)
    } else {
      this.#insertRaw(slot, atMs, values)
      if (atMs > before) {
        this.#newestMs[slot] = atMs
        if (hopMs > 0) this.#foldTail(slot, atMs - disorderMs)
        else this.#pruneTail(slot, atMs - disorderMs)
        if (hopMs > 0 && hopMs !== Infinity) this.#dropExpiredTiles(slot, atMs - disorderMs)
      }
    }
    this.#markDirty(slot)
  }

  /**
   * Folds what a window of `overMs` shows at `queryMs` into `into[at …]`:
   * events with `floor(queryMs - overMs, hop) <= eventTime < queryMs`.
   * Returns the number of tiles and events that were merged; 0 for an empty window.
   */
  readWindow(slot: number, queryMs: TimestampMs, overMs: DurationMs, into: Float64Array, at: number): number {
    const { layout } = this
    layout.init(into, at)
    if (slot < 0) return 0
    const { hopMs } = layout
    const lowerMs =
      overMs === Infinity
        ? -Infinity
        : hopMs > 0 && hopMs !== Infinity
          ? Math.floor((queryMs - overMs) / hopMs) * hopMs
          : queryMs - overMs
    const cells = this.#arena.cells
    const stride = this.#stride
    let merged = 0

    const rowCount = this.#rowsCount[slot]!
    if (rowCount > 0) {
      const base = this.#rowsAt[slot]! + this.#rowsHead[slot]! * stride
      let last = rowCount
      // Tiles do not overlap, so only the newest can hold events at or after the query.
      while (last > 0 && cells[base + (last - 1) * stride + 1]! >= queryMs) last--
      if (last < rowCount && cells[base + last * stride]! < queryMs && hopMs !== Infinity) {
        this.impreciseReads++
      }
      const first = firstRowFrom(cells, base, stride, last, lowerMs)
      if (first < last) {
        layout.mergeRows(into, at, cells, base + first * stride + rowHeader, stride, last - first)
        merged += last - first
      }
    }

    const tailCount = this.#tailCount[slot]!
    const rawStride = this.#rawStride
    let cell = this.#tailAt[slot]!
    for (let index = 0; index < tailCount; index++, cell += rawStride) {
      const atMs = cells[cell]!
      if (atMs >= queryMs) break
      if (atMs < lowerMs) continue
      layout.add(into, at, cells, cell + 1, atMs)
      merged++
    }
    return merged
  }

  /**
   * Cell index of the raw event with the greatest (eventTime, arrival) with
   * `queryMs - ttlMs <= eventTime <= queryMs`, or -1. Its values follow at index + 1 in `cells`.
   */
  readLatest(slot: number, queryMs: TimestampMs, ttlMs: DurationMs): number {
    if (slot < 0) return -1
    const cells = this.#arena.cells
    const rawStride = this.#rawStride
    const start = this.#tailAt[slot]!
    for (let cell = start + (this.#tailCount[slot]! - 1) * rawStride; cell >= start; cell -= rawStride) {
      const atMs = cells[cell]!
      if (atMs > queryMs) continue
      return atMs >= queryMs - ttlMs ? cell : -1
    }
    return -1
  }

  /** The arena's memory, for `readLatest`. */
  get cells(): Float64Array {
    return this.#arena.cells
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    const limit = Math.min(preloadLimit, this.#maxKeys)
    for await (const chunk of database.scan(this.name)) {
      if (this.#slots.size + chunk.length > limit) {
        this.clear()
        this.#complete = false
        return
      }
      for (const { key, value } of chunk) {
        this.#load(this.#newSlot(packKey(decodeKey(key) as PackedKey[])), value)
      }
    }
  }

  collect(into: DatabaseWrite[]): void {
    for (const slot of this.#dirty) {
      const key = this.#keys[slot]!
      into.push({ space: this.name, key: encodeKey(unpackKey(key, this.#keyParts)), value: this.#save(slot) })
      this.#flags[slot] = (this.#flags[slot]! & ~1) | 4
    }
    this.#dirty = []
    this.dirtyBytes = 0
  }

  /** Lets go of the longest unused clean keys above the bound. Only between batches. */
  evict(): void {
    let excess = this.#slots.size - this.#maxKeys
    if (excess <= 0) return
    this.#complete = false
    for (let steps = this.#slotCount * 2; excess > 0 && steps > 0; steps--) {
      const slot = this.#hand
      this.#hand = (this.#hand + 1) % this.#slotCount
      const flags = this.#flags[slot]!
      if (this.#newestMs[slot] === Number.NEGATIVE_INFINITY && this.#rowsAt[slot] === -2) continue
      if (flags & 2) this.#flags[slot] = flags & ~2
      else if (!(flags & 1)) {
        this.#releaseSlot(slot)
        excess--
      }
    }
  }

  clear(): void {
    this.#arena.clear()
    this.#slots.clear()
    this.#freeSlots.length = 0
    this.#keys = []
    this.#slotCount = 0
    this.#dirty = []
    this.dirtyBytes = 0
    this.#complete = true
    this.#hand = 0
  }

  #newSlot(key: PackedKey): number {
    const slot = this.#freeSlots.pop() ?? this.#slotCount++
    if (slot >= this.#newestMs.length) this.#growSlots()
    this.#slots.set(key, slot)
    this.#keys[slot] = key
    this.#rowsAt[slot] = -1
    this.#rowsCapacity[slot] = 0
    this.#rowsHead[slot] = 0
    this.#rowsCount[slot] = 0
    this.#tailAt[slot] = -1
    this.#tailCapacity[slot] = 0
    this.#tailCount[slot] = 0
    this.#newestMs[slot] = Number.NEGATIVE_INFINITY
    this.#flags[slot] = 2
    return slot
  }

  #growSlots(): void {
    const size = this.#newestMs.length * 2
    const grow = (from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const to = new Int32Array(size)
      to.set(from)
      return to
    }
    this.#rowsAt = grow(this.#rowsAt)
    this.#rowsCapacity = grow(this.#rowsCapacity)
    this.#rowsHead = grow(this.#rowsHead)
    this.#rowsCount = grow(this.#rowsCount)
    this.#tailAt = grow(this.#tailAt)
    this.#tailCapacity = grow(this.#tailCapacity)
    this.#tailCount = grow(this.#tailCount)
    const newestMs = new Float64Array(size)
    newestMs.set(this.#newestMs)
    this.#newestMs = newestMs
    const flags = new Uint8Array(size)
    flags.set(this.#flags)
    this.#flags = flags
  }

  #releaseSlot(slot: number): void {
    this.#slots.delete(this.#keys[slot]!)
    if (this.#rowsAt[slot]! >= 0) {
      this.#arena.release(this.#rowsAt[slot]!, this.#rowsCapacity[slot]! * this.#stride)
    }
    if (this.#tailAt[slot]! >= 0) {
      this.#arena.release(this.#tailAt[slot]!, this.#tailCapacity[slot]! * this.#rawStride)
    }
    this.#newestMs[slot] = Number.NEGATIVE_INFINITY
    this.#rowsAt[slot] = -2
    this.#freeSlots.push(slot)
  }

  #markDirty(slot: number): void {
    const flags = this.#flags[slot]!
    if (flags & 1) {
      this.#flags[slot] = flags | 2
      return
    }
    this.#flags[slot] = flags | 3
    this.#dirty.push(slot)
    this.dirtyBytes +=
      64 + 8 * (this.#rowsCount[slot]! * this.#stride + this.#tailCount[slot]! * this.#rawStride)
  }

  /** Puts a raw event behind all that are not newer. */
  #insertRaw(slot: number, atMs: TimestampMs, values: Float64Array): void {
    const rawStride = this.#rawStride
    const count = this.#tailCount[slot]!
    if (count === this.#tailCapacity[slot]!) this.#growTail(slot, count + 1)
    const cells = this.#arena.cells
    const start = this.#tailAt[slot]!
    let cell = start + count * rawStride
    while (cell > start && cells[cell - rawStride]! > atMs) cell -= rawStride
    const end = start + count * rawStride
    if (cell < end) cells.copyWithin(cell + rawStride, cell, end)
    cells[cell] = atMs
    for (let index = 1; index < rawStride; index++) cells[cell + index] = values[index - 1]!
    this.#tailCount[slot] = count + 1
  }

  #growTail(slot: number, wanted: number): void {
    const rawStride = this.#rawStride
    const capacity = this.#tailCapacity[slot]!
    const used = this.#tailCount[slot]! * rawStride
    const asked = Math.max(wanted, capacity * 2) * rawStride
    this.#tailAt[slot] =
      capacity === 0
        ? this.#arena.allocate(asked)
        : this.#arena.move(this.#tailAt[slot]!, capacity * rawStride, asked, used)
    this.#tailCapacity[slot] = Math.floor(blockSize(asked) / rawStride)
  }

  /** Moves raw events older than the horizon to their tiles. */
  #foldTail(slot: number, horizonMs: TimestampMs): void {
    const rawStride = this.#rawStride
    const count = this.#tailCount[slot]!
    const start = this.#tailAt[slot]!
    let moved = 0
    while (moved < count) {
      const atMs = this.#arena.cells[start + moved * rawStride]!
      if (atMs >= horizonMs) break
      this.#addToTile(slot, atMs, undefined, start + moved * rawStride + 1)
      moved++
    }
    if (moved > 0) this.#dropRaw(slot, moved)
  }

  /** Forgets raw events that no exact window and no lookup can reach any more. */
  #pruneTail(slot: number, horizonMs: TimestampMs): void {
    const { retentionMs, keepsLatest } = this.layout
    const rawStride = this.#rawStride
    const cells = this.#arena.cells
    const count = this.#tailCount[slot]!
    const start = this.#tailAt[slot]!
    const oldestMs = keepsLatest ? horizonMs : horizonMs - retentionMs
    let dropped = 0
    while (dropped < count && cells[start + dropped * rawStride]! < oldestMs) dropped++
    // A lookup at the horizon sees the newest event before it.
    if (keepsLatest && dropped > 0) dropped--
    if (dropped > 0) this.#dropRaw(slot, dropped)
  }

  #dropRaw(slot: number, dropped: number): void {
    const rawStride = this.#rawStride
    const start = this.#tailAt[slot]!
    const count = this.#tailCount[slot]!
    this.#arena.cells.copyWithin(start, start + dropped * rawStride, start + count * rawStride)
    this.#tailCount[slot] = count - dropped
  }

  #addLate(slot: number, atMs: TimestampMs, values: Float64Array): void {
    const { hopMs, retentionMs, disorderMs, keepsLatest } = this.layout
    const horizonMs = this.#newestMs[slot]! - disorderMs
    if (hopMs > 0) {
      if (hopMs !== Infinity && atMs < Math.floor((horizonMs - retentionMs) / hopMs) * hopMs)
        this.expiredEvents++
      else this.#addToTile(slot, atMs, values, 0)
      return
    }
    if (!keepsLatest && atMs < horizonMs - retentionMs) {
      this.expiredEvents++
      return
    }
    this.#insertRaw(slot, atMs, values)
    this.#pruneTail(slot, horizonMs)
  }

  /** Adds an event to its tile, made in its place if new. Values come from `values`, or from the arena when absent. */
  #addToTile(slot: number, atMs: TimestampMs, values: Float64Array | undefined, valuesAt: number): void {
    const { hopMs } = this.layout
    const stride = this.#stride
    const startMs = hopMs === Infinity ? 0 : Math.floor(atMs / hopMs) * hopMs
    let index = this.#rowsCount[slot]! - 1
    let cells = this.#arena.cells
    let base = this.#rowsAt[slot]! + this.#rowsHead[slot]! * stride
    while (index >= 0 && cells[base + index * stride]! > startMs) index--
    if (index < 0 || cells[base + index * stride]! !== startMs) {
      index++
      this.#insertRow(slot, index)
      cells = this.#arena.cells
      base = this.#rowsAt[slot]! + this.#rowsHead[slot]! * stride
      const row = base + index * stride
      cells[row] = startMs
      cells[row + 1] = Number.NEGATIVE_INFINITY
      cells[row + 2] = 0
      this.layout.init(cells, row + rowHeader)
    }
    const row = base + index * stride
    if (atMs > cells[row + 1]!) cells[row + 1] = atMs
    cells[row + 2] = cells[row + 2]! + 1
    this.layout.add(cells, row + rowHeader, values ?? cells, valuesAt, atMs)
  }

  /** Makes room for a row before row `index`. */
  #insertRow(slot: number, index: number): void {
    const stride = this.#stride
    const count = this.#rowsCount[slot]!
    const head = this.#rowsHead[slot]!
    const capacity = this.#rowsCapacity[slot]!
    if (head + count === capacity) {
      const at = this.#rowsAt[slot]!
      if (head > count) {
        // More than half of the block is expired rows: slide the living ones down.
        this.#arena.cells.copyWithin(at, at + head * stride, at + (head + count) * stride)
        this.#rowsHead[slot] = 0
      } else {
        const asked = Math.max(1, capacity * 2) * stride
        this.#rowsAt[slot] =
          capacity === 0
            ? this.#arena.allocate(asked)
            : this.#arena.move(at, capacity * stride, asked, (head + count) * stride)
        this.#rowsCapacity[slot] = Math.floor(blockSize(asked) / stride)
      }
    }
    const base = this.#rowsAt[slot]! + this.#rowsHead[slot]! * stride
    if (index < count) {
      this.#arena.cells.copyWithin(base + (index + 1) * stride, base + index * stride, base + count * stride)
    }
    this.#rowsCount[slot] = count + 1
  }

  #dropExpiredTiles(slot: number, horizonMs: TimestampMs): void {
    const { hopMs, retentionMs } = this.layout
    const stride = this.#stride
    const oldestMs = Math.floor((horizonMs - retentionMs) / hopMs) * hopMs
    const cells = this.#arena.cells
    const count = this.#rowsCount[slot]!
    const base = this.#rowsAt[slot]! + this.#rowsHead[slot]! * stride
    let expired = 0
    while (expired < count && cells[base + expired * stride]! < oldestMs) expired++
    this.#rowsHead[slot] = this.#rowsHead[slot]! + expired
    this.#rowsCount[slot] = count - expired
  }

  /** [newest | tail count | tail … | rows …] as little-endian doubles. */
  #save(slot: number): Buffer {
    const cells = this.#arena.cells
    const tailCells = this.#tailCount[slot]! * this.#rawStride
    const rowCells = this.#rowsCount[slot]! * this.#stride
    const saved = new Float64Array(2 + tailCells + rowCells)
    saved[0] = this.#newestMs[slot]!
    saved[1] = this.#tailCount[slot]!
    const tailAt = this.#tailAt[slot]!
    if (tailCells > 0) saved.set(cells.subarray(tailAt, tailAt + tailCells), 2)
    const rowsAt = this.#rowsAt[slot]! + this.#rowsHead[slot]! * this.#stride
    if (rowCells > 0) saved.set(cells.subarray(rowsAt, rowsAt + rowCells), 2 + tailCells)
    return Buffer.from(saved.buffer)
  }

  #load(slot: number, bytes: Uint8Array): void {
    const saved = new Float64Array(bytes.length / 8)
    new Uint8Array(saved.buffer).set(bytes)
    this.#newestMs[slot] = saved[0]!
    const tailCount = saved[1]!
    const tailCells = tailCount * this.#rawStride
    const rowCount = (saved.length - 2 - tailCells) / this.#stride
    if (tailCount > 0) {
      this.#growTail(slot, tailCount)
      this.#arena.cells.set(saved.subarray(2, 2 + tailCells), this.#tailAt[slot]!)
      this.#tailCount[slot] = tailCount
    }
    if (rowCount > 0) {
      const asked = rowCount * this.#stride
      this.#rowsAt[slot] = this.#arena.allocate(asked)
      this.#rowsCapacity[slot] = Math.floor(blockSize(asked) / this.#stride)
      this.#arena.cells.set(saved.subarray(2 + tailCells), this.#rowsAt[slot]!)
      this.#rowsCount[slot] = rowCount
    }
    this.#flags[slot] = this.#flags[slot]! | 4
  }
}

/** Index of the first of `count` rows that starts at or after `lowerMs`. */
function firstRowFrom(
  cells: Float64Array,
  base: number,
  stride: number,
  count: number,
  lowerMs: TimestampMs,
): number {
  // The longest window begins at the oldest row; short ones begin near the newest: both are found at once.
  if (count === 0 || cells[base]! >= lowerMs) return 0
  let high = count
  let step = 1
  while (high - step > 0 && cells[base + (high - step) * stride]! >= lowerMs) {
    high -= step
    step *= 2
  }
  let low = Math.max(1, high - step + 1)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (cells[base + middle * stride]! < lowerMs) low = middle + 1
    else high = middle
  }
  return low
}

const pairBase = 0x4000000

/**
 * A key of one part is itself; two small whole numbers share one double
 * (a Map compares it seven times faster than a built string); else the parts'
 * ordered encoding as text.
 */
export function packKey(parts: readonly PackedKey[]): PackedKey {
  if (parts.length === 1) return parts[0]!
  const [first, second] = parts
  if (parts.length === 2 && isSmall(first) && isSmall(second)) return first * pairBase + second
  return Buffer.from(encodeKey(parts)).toString('latin1')
}

export function unpackKey(key: PackedKey, parts: number): readonly PackedKey[] {
  if (parts === 1) return [key]
  if (typeof key === 'number') return [Math.floor(key / pairBase), key % pairBase]
  return decodeKey(Buffer.from(key as string, 'latin1')) as PackedKey[]
}

const isSmall = (part: PackedKey | undefined): part is number =>
  typeof part === 'number' && Number.isInteger(part) && part >= 0 && part < pairBase && !Object.is(part, -0)
