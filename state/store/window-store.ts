import type { TimestampMs } from '../contracts/units.ts'
import { ByteSlab } from './byte-slab.ts'
import type { Database, DatabaseWrite } from './database.ts'
import { decodeKey, encodeKey } from './key-encoding.ts'
import type { KeyPart, StateStore } from './state-store.ts'

/** What is known of a slot, in bits. */
const changed = 1
/** The database has it, or will by the checkpoint under way. */
const stored = 2

/**
 * The windows of many keys that are open at one time, a row of doubles each:
 * windows that begin together lie together, so that closing them is letting go
 * of one map, and finding one is a look into a map of its start's keys.
 * Resident as a whole; in the database under `[start, key]`.
 */
export class WindowStore implements StateStore {
  readonly name: string
  /** Doubles of a row. */
  readonly width: number
  readonly layoutId: string
  /** Slot s has its row from `s * width` on. Replaced when the store grows: read it anew after every `add`. */
  cells: Float64Array
  readonly #starts = new Map<TimestampMs, Map<KeyPart, number>>()
  /** Ascending. */
  readonly #order: TimestampMs[] = []
  readonly #freeSlots: number[] = []
  #flags = new Uint8Array(1024)
  #keys: KeyPart[] = []
  #startOf = new Float64Array(1024)
  #dirty: number[] = []
  /** In the database, and no more here. */
  #gone: Uint8Array[] = []
  #lastStart = Number.NaN
  #lastKeys = new Map<KeyPart, number>()

  /** `columns` says what a row holds: rows of others are not read. */
  constructor(name: string, width: number, columns: string) {
    this.name = name
    this.width = width
    this.layoutId = `rows ${columns}`
    this.cells = new Float64Array(1024 * width)
  }

  get dirtyBytes(): number {
    return this.#dirty.length * (64 + 8 * this.width) + this.#gone.length * 32
  }

  /** The slot of a window, or -1. */
  find(startMs: TimestampMs, key: KeyPart): number {
    return this.#keysOf(startMs)?.get(key) ?? -1
  }

  /** A slot for a window that has none; its row is undefined. */
  add(startMs: TimestampMs, key: KeyPart): number {
    const slot = this.#freeSlots.pop() ?? this.#keys.length
    if (slot >= this.#flags.length) this.#grow()
    let keys = this.#keysOf(startMs)
    if (keys === undefined) {
      keys = new Map()
      this.#starts.set(startMs, keys)
      let place = this.#order.length
      while (place > 0 && this.#order[place - 1]! > startMs) place--
      this.#order.splice(place, 0, startMs)
    }
    keys.set(key, slot)
    this.#keys[slot] = key
    this.#startOf[slot] = startMs
    this.#flags[slot] = 0
    return slot
  }

  /** The row has changed since the last checkpoint. */
  changed(slot: number): void {
    if (this.#flags[slot]! & changed) return
    this.#flags[slot]! |= changed
    this.#dirty.push(slot)
  }

  keyOf(slot: number): KeyPart {
    return this.#keys[slot]!
  }

  /** Where windows begin, oldest first; not to be kept across changes. */
  get starts(): readonly TimestampMs[] {
    return this.#order
  }

  /** Slots of the windows that begin there, as they came. */
  slotsAt(startMs: TimestampMs): Iterable<number> {
    return this.#keysOf(startMs)?.values() ?? []
  }

  /** Forgets the windows that begin there. */
  drop(startMs: TimestampMs): void {
    const keys = this.#starts.get(startMs)
    if (keys === undefined) return
    for (const [key, slot] of keys) {
      if (this.#flags[slot]! & stored) this.#gone.push(encodeKey([startMs, key]))
      this.#flags[slot] = 0
      this.#startOf[slot] = Number.NaN
      this.#freeSlots.push(slot)
    }
    this.#starts.delete(startMs)
    this.#order.splice(this.#order.indexOf(startMs), 1)
    this.#lastStart = Number.NaN
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    for await (const chunk of database.scan(this.name)) {
      for (const { key, value } of chunk) {
        const [startMs, entity] = decodeKey(key)
        const slot = this.add(startMs as TimestampMs, entity!)
        this.#flags[slot] = stored
        const row = new Float64Array(value.length / 8)
        new Uint8Array(row.buffer).set(value)
        this.cells.set(row, slot * this.width)
      }
    }
  }

  collect(into: DatabaseWrite[]): void {
    this.collectSome(into, Number.POSITIVE_INFINITY)
  }

  collectSome(into: DatabaseWrite[], limit: number): void {
    for (const key of this.#gone.splice(0)) into.push({ space: this.name, key })
    const slots = limit >= this.#dirty.length ? this.#dirty.splice(0) : this.#dirty.splice(-limit)
    // A slot that was let go of and taken again is there twice, one that was only let go of is clean.
    const written = slots.filter((slot) => {
      const isChanged = (this.#flags[slot]! & changed) !== 0
      this.#flags[slot]! &= ~changed
      return isChanged
    })
    const slab = new ByteSlab(written.length)
    const { width } = this
    for (const slot of written) {
      const key = encodeKey([this.#startOf[slot]!, this.#keys[slot]!])
      const { bytes, doubles, at } = slab.take(width)
      for (let column = 0; column < width; column++) doubles[at + column] = this.cells[slot * width + column]!
      into.push({ space: this.name, key, value: bytes })
      this.#flags[slot]! |= stored
    }
  }

  clear(): void {
    this.#starts.clear()
    this.#order.length = 0
    this.#freeSlots.length = 0
    this.#keys = []
    this.#dirty = []
    this.#gone = []
    this.#lastStart = Number.NaN
  }

  #keysOf(startMs: TimestampMs): Map<KeyPart, number> | undefined {
    if (startMs === this.#lastStart) return this.#lastKeys
    const keys = this.#starts.get(startMs)
    if (keys !== undefined) {
      this.#lastStart = startMs
      this.#lastKeys = keys
    }
    return keys
  }

  #grow(): void {
    const flags = new Uint8Array(this.#flags.length * 2)
    flags.set(this.#flags)
    this.#flags = flags
    const starts = new Float64Array(flags.length)
    starts.set(this.#startOf)
    this.#startOf = starts
    const cells = new Float64Array(flags.length * this.width)
    cells.set(this.cells)
    this.cells = cells
  }
}
