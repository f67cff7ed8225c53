import { cursor, readLong } from '../contracts/byte-reader.ts'
import { ByteWriter } from '../contracts/byte-writer.ts'
import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import type { Database, DatabaseWrite } from './database.ts'
import { decodeKey, encodeKey } from './key-encoding.ts'
import type { KeyedStore } from './keyed-store.ts'
import type { ObjectTileLayout, TileStates } from './object-tile-layout.ts'
import { type PackedKey, packKey, unpackKey } from './packed-key.ts'
import { packValue, unpackValue } from './value-encoding.ts'
import { firstFrom, type RawEvent, type WindowRange, WindowRead } from './window-read.ts'

export interface ObjectTileStoreOptions {
  readonly name: string
  readonly layout: ObjectTileLayout
  /** Parts of an entity key, from 1. */
  readonly keyParts: number
  /** Keys kept in memory; more are evicted once a checkpoint holds them. */
  readonly maxKeys?: number
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
  /** Events that have left the front of the tail since the entry was made. */
  left: number
  /** Of windows that were read, as long as their places hold what they held. */
  reads: WindowRead[]
  isDirty: boolean
  isUsed: boolean
}

const preloadLimit = 20_000
const defaultMaxKeys = 100_000
/** Windows that are remembered over all keys: each holds a state. */
const maxReads = 1_000
/** A window of fewer events, and no tile, is folded anew each time. */
const worthRemembering = 8

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
  readonly #remembering = new Set<Entry>()
  #readCount = 0
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
      this.#insertRaw(entry, event)
      if (atMs > entry.newestMs) {
        entry.newestMs = atMs
        const horizonMs = atMs - disorderMs
        if (hopMs > 0) {
          this.#foldTail(entry, horizonMs)
          if (hopMs !== Infinity)
            this.#dropTiles(entry, Math.floor((horizonMs - retentionMs) / hopMs) * hopMs)
        } else this.#pruneTail(entry, horizonMs - retentionMs)
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
   * eventTime < queryMs`; undefined where there are none. They hold until the
   * next read or event of the key, and the caller may not change them; what it
   * makes of them it may keep in `answers`.
   */
  readWindow(
    key: PackedKey,
    queryMs: TimestampMs,
    overMs: DurationMs,
  ): Pick<WindowRead, 'states' | 'answers'> | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.isUsed = true
    const known = entry.reads.find((read) => read.overMs === overMs)
    const range = this.#rangeOf(entry, queryMs, overMs, known)
    const size = range.tileEnd - range.tile + (range.rawEnd - range.raw)
    if (size === 0) return undefined
    if (known === undefined) {
      const states = this.#fold(entry, range)
      if (range.tile === range.tileEnd && size < worthRemembering) return { states, answers: [] }
      const read = new WindowRead(overMs, range, states)
      this.#remember(entry, read)
      return read
    }
    if (known.isOf(range)) return known
    if (this.layout.hopMs === 0 && known.moveTo(range, this.layout, entry.tail, entry.left)) return known
    known.renew(range, this.#fold(entry, range))
    return known
  }

  #rangeOf(
    { tiles, tail, left }: Entry,
    queryMs: TimestampMs,
    overMs: DurationMs,
    known: WindowRead | undefined,
  ): WindowRange {
    const { hopMs } = this.layout
    let lowerMs = overMs === Infinity ? -Infinity : queryMs - overMs
    if (overMs !== Infinity && hopMs > 0 && hopMs !== Infinity) lowerMs = Math.floor(lowerMs / hopMs) * hopMs
    let tile = 0
    while (tile < tiles.length && tiles[tile]!.startMs < lowerMs) tile++
    let tileEnd = tile
    while (tileEnd < tiles.length && tiles[tileEnd]!.newestMs < queryMs) tileEnd++
    if (tileEnd < tiles.length && tiles[tileEnd]!.startMs < queryMs && hopMs !== Infinity)
      this.impreciseReads++
    const rawEnd = firstFrom(tail, queryMs, known && known.range.rawEnd - left)
    const raw = Math.min(rawEnd, firstFrom(tail, lowerMs, known && known.range.raw - left))
    return { tile, tileEnd, raw: left + raw, rawEnd: left + rawEnd }
  }

  /** Merges tiles, oldest first, and then the tail. */
  #fold({ tiles, tail, left }: Entry, { tile, tileEnd, raw, rawEnd }: WindowRange): TileStates {
    const { layout } = this
    let merged: TileStates | undefined
    for (let index = tile; index < tileEnd; index++) {
      const states = this.#statesOf(tiles[index]!)
      merged = merged === undefined ? states : layout.merge(merged, states)
    }
    if (raw === rawEnd) return merged!
    // Adding could reuse a tile's own state, so the tail is folded by itself and merged.
    const last = layout.init()
    for (let index = raw - left; index < rawEnd - left; index++) {
      const { inputs, atMs } = tail[index]!
      layout.add(last, inputs, atMs)
    }
    return merged === undefined ? last : layout.merge(merged, last)
  }

  #remember(entry: Entry, read: WindowRead): void {
    if (this.#readCount === maxReads) {
      for (const each of this.#remembering) each.reads = []
      this.#remembering.clear()
      this.#readCount = 0
    }
    entry.reads.push(read)
    this.#remembering.add(entry)
    this.#readCount++
  }

  /** Forgets the windows of a key whose tiles or tail have changed other than at the end. */
  #forgetReads(entry: Entry): void {
    if (entry.reads.length === 0) return
    this.#readCount -= entry.reads.length
    entry.reads = []
    this.#remembering.delete(entry)
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
        else if (!entry.isDirty) {
          this.#forgetReads(entry)
          this.#entries.delete(key)
        }
      }
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#dirty.clear()
    this.#remembering.clear()
    this.#readCount = 0
    this.dirtyBytes = 0
    this.#complete = true
  }

  #addLate(entry: Entry, event: RawEvent): void {
    const { hopMs, retentionMs, disorderMs } = this.layout
    const oldestMs = entry.newestMs - disorderMs - retentionMs
    const keptFromMs = hopMs > 0 && hopMs !== Infinity ? Math.floor(oldestMs / hopMs) * hopMs : oldestMs
    if (event.atMs < keptFromMs) this.expiredEvents++
    else if (hopMs > 0) this.#addToTile(entry, event)
    else this.#insertRaw(entry, event)
  }

  /** Puts an event behind all that are not newer. */
  #insertRaw(entry: Entry, event: RawEvent): void {
    const { tail } = entry
    let index = tail.length
    while (index > 0 && tail[index - 1]!.atMs > event.atMs) index--
    if (index === tail.length) {
      tail.push(event)
      return
    }
    this.#forgetReads(entry)
    tail.splice(index, 0, event)
  }

  /** Lets go of events that no exact window can reach any more; the windows that were read give them up first. */
  #pruneTail(entry: Entry, oldestMs: TimestampMs): void {
    const { tail, left, reads } = entry
    let expired = 0
    while (expired < tail.length && tail[expired]!.atMs < oldestMs) expired++
    if (expired === 0) return
    const first = left + expired
    for (const read of reads) {
      const { raw, rawEnd } = read.range
      if (raw >= first || read.moveTo({ tile: 0, tileEnd: 0, raw: first, rawEnd }, this.layout, tail, left))
        continue
      entry.reads = entry.reads.filter((each) => each !== read)
      this.#readCount--
    }
    if (entry.reads.length === 0) this.#remembering.delete(entry)
    tail.splice(0, expired)
    entry.left = first
  }

  /** Moves raw events older than the horizon to their tiles. */
  #foldTail(entry: Entry, horizonMs: TimestampMs): void {
    let moved = 0
    for (; moved < entry.tail.length && entry.tail[moved]!.atMs < horizonMs; moved++) {
      this.#addToTile(entry, entry.tail[moved]!)
    }
    if (moved === 0) return
    entry.tail.splice(0, moved)
    entry.left += moved
  }

  #addToTile(entry: Entry, { atMs, inputs }: RawEvent): void {
    this.#forgetReads(entry)
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

  #dropTiles(entry: Entry, oldestMs: TimestampMs): void {
    const { tiles } = entry
    let expired = 0
    while (expired < tiles.length && tiles[expired]!.startMs < oldestMs) expired++
    if (expired === 0) return
    this.#forgetReads(entry)
    tiles.splice(0, expired)
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
  left: 0,
  reads: [],
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
