import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import { ByteSlab } from './byte-slab.ts'
import type { Database, DatabaseWrite } from './database.ts'
import { decodeKey, encodeKey } from './key-encoding.ts'
import type { KeyedStore } from './keyed-store.ts'
import { type PackedKey, packKey, unpackKey } from './packed-key.ts'
import { SlotIndex } from './slot-index.ts'
import type { TileLayout } from './tile-layout.ts'
import { TileSlots } from './tile-slots.ts'

export interface TileStoreOptions {
  readonly name: string
  readonly layout: TileLayout
  /** Parts of an entity key, from 1. */
  readonly keyParts: number
  /** Keys kept in memory; more are evicted once a checkpoint holds them. */
  readonly maxKeys?: number
}

const preloadLimit = 20_000
const defaultMaxKeys = 1_000_000

/** What is known of a slot, in bits. */
const changed = 1
/** Since the clock hand passed. */
const used = 2
const vacant = 4

/**
 * Windowed state per entity key: `TileSlots` behind a write-back cache of one
 * space of the database.
 */
export class TileStore implements KeyedStore {
  readonly name: string
  readonly layout: TileLayout
  dirtyBytes = 0

  readonly #keyParts: number
  readonly #maxKeys: number
  readonly #tiles: TileSlots
  readonly #slots = new SlotIndex()
  readonly #freeSlots: number[] = []
  #keys: PackedKey[] = []
  #flags = new Uint8Array(1024)
  #dirty: number[] = []
  /** A record is read and then folded under the same key. */
  #lastKey: PackedKey | undefined
  #lastSlot = -1
  /** Everything that the database holds is in memory too, so an unknown key is a new key. */
  #complete = true
  #hand = 0

  constructor({ name, layout, keyParts, maxKeys = defaultMaxKeys }: TileStoreOptions) {
    this.name = name
    this.layout = layout
    this.#keyParts = keyParts
    this.#maxKeys = maxKeys
    this.#tiles = new TileSlots(layout)
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
    return this.#tiles.memoryBytes
  }

  /** See `TileSlots.impreciseReads`. */
  get impreciseReads(): number {
    return this.#tiles.impreciseReads
  }

  /** See `TileSlots.expiredEvents`. */
  get expiredEvents(): number {
    return this.#tiles.expiredEvents
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
    if (key === this.#lastKey) return this.#lastSlot
    const known = this.#slots.get(key)
    const slot = known < 0 ? this.#newSlot(key) : known
    this.#lastKey = key
    this.#lastSlot = slot
    return slot
  }

  /** The slot of a key, or -1; never creates one, so a read changes nothing. */
  find(key: PackedKey): number {
    if (key === this.#lastKey) return this.#lastSlot
    const slot = this.#slots.get(key)
    if (slot < 0) return -1
    this.#lastKey = key
    this.#lastSlot = slot
    this.#flags[slot] = this.#flags[slot]! | used
    return slot
  }

  /** Takes an event in. `values` holds `layout.inputs` doubles, NaN for null. */
  add(slot: number, atMs: TimestampMs, values: Float64Array): void {
    this.#tiles.add(slot, atMs, values)
    const flags = this.#flags[slot]!
    this.#flags[slot] = flags | changed | used
    if (flags & changed) return
    this.#dirty.push(slot)
    this.dirtyBytes += 64 + 8 * this.#tiles.sizeOf(slot)
  }

  /** See `TileSlots.readWindows`. */
  readWindows(
    slot: number,
    queryMs: TimestampMs,
    oversMs: Float64Array,
    into: Float64Array,
    merged: Int32Array,
  ): void {
    this.#tiles.readWindows(slot, queryMs, oversMs, into, merged)
  }

  /** See `TileSlots.readLatest`. */
  readLatest(slot: number, queryMs: TimestampMs, ttlMs: DurationMs): number {
    return this.#tiles.readLatest(slot, queryMs, ttlMs)
  }

  /** The memory that `readLatest` speaks of. */
  get cells(): Float64Array {
    return this.#tiles.cells
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
    this.#collect(into, this.#dirty)
    this.#dirty = []
    this.dirtyBytes = 0
  }

  collectSome(into: DatabaseWrite[], limit: number): void {
    if (this.#dirty.length === 0) return
    const share = Math.min(1, limit / this.#dirty.length)
    this.#collect(into, this.#dirty.splice(-limit))
    this.dirtyBytes -= Math.floor(this.dirtyBytes * share)
  }

  #collect(into: DatabaseWrite[], slots: readonly number[]): void {
    const slab = new ByteSlab(slots.length)
    for (const slot of slots) {
      const key = encodeKey(unpackKey(this.#keys[slot]!, this.#keyParts))
      const { bytes, doubles, at } = slab.take(this.#tiles.sizeOf(slot))
      this.#tiles.save(slot, doubles, at)
      into.push({ space: this.name, key, value: bytes })
      this.#flags[slot] = this.#flags[slot]! & ~changed
    }
  }

  /** Lets go of the longest unused clean keys above the bound. Only between batches. */
  evict(): void {
    let excess = this.#slots.size - this.#maxKeys
    if (excess <= 0) return
    this.#complete = false
    this.#lastKey = undefined
    for (let steps = this.#keys.length * 2; excess > 0 && steps > 0; steps--) {
      const slot = this.#hand
      this.#hand = (this.#hand + 1) % this.#keys.length
      const flags = this.#flags[slot]!
      if (flags & vacant) continue
      if (flags & used) this.#flags[slot] = flags & ~used
      else if (!(flags & changed)) {
        this.#slots.delete(this.#keys[slot]!)
        this.#tiles.release(slot)
        this.#flags[slot] = vacant
        this.#freeSlots.push(slot)
        excess--
      }
    }
  }

  clear(): void {
    this.#tiles.clear()
    this.#slots.clear()
    this.#freeSlots.length = 0
    this.#keys = []
    this.#dirty = []
    this.dirtyBytes = 0
    this.#lastKey = undefined
    this.#complete = true
    this.#hand = 0
  }

  #newSlot(key: PackedKey): number {
    const slot = this.#freeSlots.pop() ?? this.#keys.length
    if (slot >= this.#flags.length) {
      const flags = new Uint8Array(this.#flags.length * 2)
      flags.set(this.#flags)
      this.#flags = flags
    }
    this.#slots.set(key, slot)
    this.#keys[slot] = key
    this.#flags[slot] = used
    this.#tiles.open(slot)
    return slot
  }

  #load(slot: number, bytes: Uint8Array): void {
    const saved = new Float64Array(bytes.length / 8)
    new Uint8Array(saved.buffer).set(bytes)
    this.#tiles.load(slot, saved)
  }
}
