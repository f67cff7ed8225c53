import { cursor, readLong } from '../contracts/byte-reader.ts'
import { ByteWriter } from '../contracts/byte-writer.ts'
import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import type { Database, DatabaseWrite } from './database.ts'
import { decodeKey, encodeKey } from './key-encoding.ts'
import type { KeyedStore } from './keyed-store.ts'
import { type PackedKey, packKey, unpackKey } from './packed-key.ts'
import { packValue, unpackValue } from './value-encoding.ts'

/** What one tile folds: the states of all aggregates that share it, as a list in a fixed order. */
export interface ObjectTileLayout {
  /** Names windows, aggregates and inputs: state of another id means something else. */
  readonly id: string
  /** Length of a tile, aligned to the epoch. `Infinity`: one tile for all time. 0: the raw events answer. */
  readonly hopMs: DurationMs
  /** Longest window that is read; `Infinity` keeps for ever. */
  readonly retentionMs: DurationMs
  /** How far behind the key's newest event a read or a write may be and still be exact. */
  readonly disorderMs: DurationMs
  init(): TileStates
  /** Changes `states` in place. */
  add(states: TileStates, inputs: readonly unknown[], atMs: TimestampMs): void
  /** Leaves both alone. */
  merge(older: TileStates, newer: TileStates): TileStates
  /** Equal states write equal bytes. */
  write(states: TileStates, out: ByteWriter): void
  read(bytes: Uint8Array): TileStates
}

export type TileStates = unknown[]

export interface ObjectTileStoreOptions {
  readonly name: string
  readonly layout: ObjectTileLayout
  /** Parts of an entity key, from 1. */
  readonly keyParts: number
  /** Keys kept in memory; more are evicted once a checkpoint holds them. */
  readonly maxKeys?: number
}

interface RawEvent {
  readonly atMs: TimestampMs
  readonly inputs: readonly unknown[]
}

interface Tile {
  readonly startMs: TimestampMs
  newestMs: TimestampMs
  /** Decoded when it is first looked at; one of `states` and `bytes` is there. */
  states: TileStates | undefined
  /** As last written; undefined once the tile has changed. */
  bytes: Uint8Array | undefined
}

interface Entry {
  newestMs: TimestampMs
  /** Raw events in (event time, arrival) order. */
  tail: RawEvent[]
  /** Oldest first. */
  tiles: Tile[]
  isDirty: boolean
  isUsed: boolean
}

const preloadLimit = 20_000
const defaultMaxKeys = 100_000

/**
 * The tile store for aggregates whose state has any size: sketches, lists,
 * sets, maps. The rules are those of `TileStore`: an event waits in the tail
 * until its key has seen one more than `disorderMs` newer, then moves to its
 * tile; a read merges tiles oldest first and then the tail. One database
 * value holds all of a key; tiles that did not change are not written anew.
 */
export class ObjectTileStore implements KeyedStore {
  readonly name: string
  readonly layout: ObjectTileLayout
  /** Reads whose query time was older than the newest event less the disorder, and met a tile it could not split. */
  impreciseReads = 0
  /** Events older than every window that can still be read. */
  expiredEvents = 0
  dirtyBytes = 0

  readonly #keyParts: number
  readonly #maxKeys: number
  readonly #entries = new Map<PackedKey, Entry>()
  readonly #dirty = new Map<PackedKey, Entry>()
  #complete = true

  constructor({ name, layout, keyParts, maxKeys = defaultMaxKeys }: ObjectTileStoreOptions) {
    this.name = name
    this.layout = layout
    this.#keyParts = keyParts
    this.#maxKeys = maxKeys
  }

  get layoutId(): string {
    return this.layout.id
  }

  /** Keys in memory. */
  get size(): number {
    return this.#entries.size
  }

  get isComplete(): boolean {
    return this.#complete
  }

  isMissing(key: PackedKey): boolean {
    return !this.#complete && !this.#entries.has(key)
  }

  async prefetch(database: Database, keys: readonly PackedKey[]): Promise<void> {
    const values = await database.getMany(
      this.name,
      keys.map((key) => encodeKey(unpackKey(key, this.#keyParts))),
    )
    for (const [index, key] of keys.entries()) {
      if (this.#entries.has(key)) continue
      const value = values[index]
      this.#entries.set(key, value === undefined ? newEntry() : readEntry(value))
    }
  }

  /** Takes an event in; null among its inputs is no value. */
  add(key: PackedKey, atMs: TimestampMs, inputs: readonly unknown[]): void {
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = newEntry()
      this.#entries.set(key, entry)
    }
    const { disorderMs, hopMs, retentionMs } = this.layout
    const event = { atMs, inputs }
    if (atMs < entry.newestMs - disorderMs) this.#addLate(entry, event)
    else {
      insertRaw(entry.tail, event)
      if (atMs > entry.newestMs) {
        entry.newestMs = atMs
        const horizonMs = atMs - disorderMs
        if (hopMs > 0) {
          this.#foldTail(entry, horizonMs)
          if (hopMs !== Infinity) dropTiles(entry, Math.floor((horizonMs - retentionMs) / hopMs) * hopMs)
        } else pruneTail(entry, horizonMs - retentionMs)
      }
    }
    entry.isUsed = true
    if (!entry.isDirty) {
      entry.isDirty = true
      this.#dirty.set(key, entry)
    }
    this.dirtyBytes += 64
  }

  /**
   * The merged states of the events with `floor(queryMs - overMs, hop) <=
   * eventTime < queryMs`; undefined where there are none. Changes nothing, and
   * neither may the caller.
   */
  readWindow(key: PackedKey, queryMs: TimestampMs, overMs: DurationMs): TileStates | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.isUsed = true
    const { layout } = this
    const { hopMs } = layout
    let lowerMs = overMs === Infinity ? -Infinity : queryMs - overMs
    if (overMs !== Infinity && hopMs > 0 && hopMs !== Infinity) lowerMs = Math.floor(lowerMs / hopMs) * hopMs
    let merged: TileStates | undefined
    for (const tile of entry.tiles) {
      if (tile.startMs < lowerMs) continue
      if (tile.newestMs >= queryMs) {
        if (tile.startMs < queryMs && hopMs !== Infinity) this.impreciseReads++
        break
      }
      const states = this.#statesOf(tile)
      merged = merged === undefined ? states : layout.merge(merged, states)
    }
    let tail: TileStates | undefined
    for (const { atMs, inputs } of entry.tail) {
      if (atMs >= queryMs) break
      if (atMs < lowerMs) continue
      tail ??= layout.init()
      layout.add(tail, inputs, atMs)
    }
    // Adding could reuse a tile's own state, so the tail is folded by itself and merged.
    if (merged === undefined || tail === undefined) return merged ?? tail
    return layout.merge(merged, tail)
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    const limit = Math.min(preloadLimit, this.#maxKeys)
    for await (const chunk of database.scan(this.name)) {
      if (this.#entries.size + chunk.length > limit) {
        this.clear()
        this.#complete = false
        return
      }
      for (const { key, value } of chunk) {
        this.#entries.set(packKey(decodeKey(key) as PackedKey[]), readEntry(value))
      }
    }
  }

  collect(into: DatabaseWrite[]): void {
    for (const [key, entry] of this.#dirty) {
      into.push({
        space: this.name,
        key: encodeKey(unpackKey(key, this.#keyParts)),
        value: this.#write(entry),
      })
      entry.isDirty = false
    }
    this.#dirty.clear()
    this.dirtyBytes = 0
  }

  evict(): void {
    if (this.#entries.size <= this.#maxKeys) return
    this.#complete = false
    for (let pass = 0; pass < 2; pass++) {
      for (const [key, entry] of this.#entries) {
        if (this.#entries.size <= this.#maxKeys) return
        if (entry.isUsed) entry.isUsed = false
        else if (!entry.isDirty) this.#entries.delete(key)
      }
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#dirty.clear()
    this.dirtyBytes = 0
    this.#complete = true
  }

  #addLate(entry: Entry, event: RawEvent): void {
    const { hopMs, retentionMs, disorderMs } = this.layout
    const oldestMs = entry.newestMs - disorderMs - retentionMs
    const keptFromMs = hopMs > 0 && hopMs !== Infinity ? Math.floor(oldestMs / hopMs) * hopMs : oldestMs
    if (event.atMs < keptFromMs) this.expiredEvents++
    else if (hopMs > 0) this.#addToTile(entry, event)
    else insertRaw(entry.tail, event)
  }

  /** Moves raw events older than the horizon to their tiles. */
  #foldTail(entry: Entry, horizonMs: TimestampMs): void {
    let moved = 0
    for (; moved < entry.tail.length && entry.tail[moved]!.atMs < horizonMs; moved++) {
      this.#addToTile(entry, entry.tail[moved]!)
    }
    if (moved > 0) entry.tail.splice(0, moved)
  }

  #addToTile(entry: Entry, { atMs, inputs }: RawEvent): void {
    const { hopMs } = this.layout
    const { tiles } = entry
    const startMs = hopMs === Infinity ? 0 : Math.floor(atMs / hopMs) * hopMs
    let index = tiles.length - 1
    while (index >= 0 && tiles[index]!.startMs > startMs) index--
    let tile = tiles[index]
    if (tile?.startMs !== startMs) {
      tile = { startMs, newestMs: atMs, states: this.layout.init(), bytes: undefined }
      tiles.splice(index + 1, 0, tile)
    }
    this.layout.add(this.#statesOf(tile), inputs, atMs)
    tile.bytes = undefined
    tile.newestMs = Math.max(tile.newestMs, atMs)
  }

  #statesOf(tile: Tile): TileStates {
    tile.states ??= this.layout.read(tile.bytes!)
    return tile.states
  }

  /** [newest | tail with its length | tiles: start, newest, states with their length]. */
  #write({ newestMs, tail, tiles }: Entry): Buffer {
    const out = new ByteWriter(256)
    out.double(newestMs)
    const raw = packValue(tail.map(({ atMs, inputs }) => [atMs, inputs]))
    out.varint(raw.length)
    out.raw(raw)
    for (const tile of tiles) {
      if (tile.bytes === undefined) {
        const states = new ByteWriter(64)
        this.layout.write(tile.states!, states)
        tile.bytes = states.take()
      }
      out.double(tile.startMs)
      out.double(tile.newestMs)
      out.varint(tile.bytes.length)
      out.raw(tile.bytes)
    }
    return out.take()
  }
}

const newEntry = (): Entry => ({
  newestMs: Number.NEGATIVE_INFINITY,
  tail: [],
  tiles: [],
  isDirty: false,
  isUsed: true,
})

function readEntry(value: Uint8Array): Entry {
  // A copy: tiles keep their bytes until they are looked at, and the memory given is the database's.
  const bytes = Buffer.from(value)
  let at = 8
  const sized = (): Buffer => {
    const size = readLong(bytes, at, bytes.length)
    at = cursor.at + size
    return bytes.subarray(cursor.at, at)
  }
  const raw = unpackValue(sized()) as [TimestampMs, readonly unknown[]][]
  const tiles: Tile[] = []
  while (at < bytes.length) {
    const startMs = bytes.readDoubleLE(at)
    const newestMs = bytes.readDoubleLE(at + 8)
    at += 16
    tiles.push({ startMs, newestMs, states: undefined, bytes: sized() })
  }
  return {
    ...newEntry(),
    newestMs: bytes.readDoubleLE(0),
    tail: raw.map(([atMs, inputs]) => ({ atMs, inputs })),
    tiles,
  }
}

/** Puts an event behind all that are not newer. */
function insertRaw(tail: RawEvent[], event: RawEvent): void {
  let index = tail.length
  while (index > 0 && tail[index - 1]!.atMs > event.atMs) index--
  tail.splice(index, 0, event)
}

function pruneTail({ tail }: Entry, oldestMs: TimestampMs): void {
  let expired = 0
  while (expired < tail.length && tail[expired]!.atMs < oldestMs) expired++
  if (expired > 0) tail.splice(0, expired)
}

function dropTiles({ tiles }: Entry, oldestMs: TimestampMs): void {
  let expired = 0
  while (expired < tiles.length && tiles[expired]!.startMs < oldestMs) expired++
  if (expired > 0) tiles.splice(0, expired)
}
