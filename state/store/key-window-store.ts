import type { TimestampMs } from '../contracts/units.ts'
import { ByteSlab } from './byte-slab.ts'
import type { Database, DatabaseWrite } from './database.ts'
import { decodeKey, encodeKey } from './key-encoding.ts'
import type { KeyPart, StateStore } from './state-store.ts'
import { packValue, unpackValue } from './value-encoding.ts'

/** What is known of a slot, in bits. */
const changed = 1
/** The database has it, or will by the checkpoint under way. */
const stored = 2

const firstSlots = 1024
const none: readonly number[] = []

/**
 * Windows that each key has at times of its own: a row of doubles each, and
 * where that is not enough a value beside it. A key's windows are in the order
 * of their starts, so that those around an instant are found by halving.
 * Resident as a whole; in the database under `[key, start]`.
 */
export class KeyWindowStore implements StateStore {
  readonly name: string
  /** Doubles of a row. */
  readonly width: number
  readonly layoutId: string
  /** Slot s has its row from `s * width` on. Replaced when the store grows: read it anew after every `add`. */
  cells: Float64Array
  /** By slot; plain data, as `packValue` takes it. Unused where rows are all there is. */
  readonly values: unknown[] = []
  readonly #hasValues: boolean
  readonly #slotsOf = new Map<KeyPart, number[]>()
  readonly #freeSlots: number[] = []
  #flags = new Uint8Array(firstSlots)
  #starts = new Float64Array(firstSlots)
  #keys: KeyPart[] = []
  #dirty: number[] = []
  /** In the database, and no more here. */
  #gone: Uint8Array[] = []

  /** `columns` says what a row holds: rows of others are not read. undefined: windows have values too. */
  constructor(name: string, width: number, columns: string | undefined) {
    this.name = name
    this.width = width
    this.#hasValues = columns === undefined
    this.layoutId = columns === undefined ? 'values by key' : `rows by key ${columns}`
    this.cells = new Float64Array(firstSlots * width)
  }

  get dirtyBytes(): number {
    const eachBytes = 64 + 8 * this.width + (this.#hasValues ? 128 : 0)
    return this.#dirty.length * eachBytes + this.#gone.length * 32
  }

  /** Slots of a key's windows, oldest start first; not to be kept across changes. */
  slotsOf(key: KeyPart): readonly number[] {
    return this.#slotsOf.get(key) ?? none
  }

  /** Slots of all windows, key by key. */
  *slots(): Generator<number> {
    for (const slots of this.#slotsOf.values()) yield* slots
  }

  /** The place of the first of these slots whose window begins at or after `startMs`. */
  placeOf(slots: readonly number[], startMs: TimestampMs): number {
    let low = 0
    let high = slots.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#starts[slots[middle]!]! < startMs) low = middle + 1
      else high = middle
    }
    return low
  }

  /** A slot for a window that has none; its row and its value are undefined. */
  add(key: KeyPart, startMs: TimestampMs): number {
    const slot = this.#freeSlots.pop() ?? this.#keys.length
    if (slot >= this.#flags.length) this.#grow()
    const slots = this.#slotsOf.get(key)
    if (slots === undefined) this.#slotsOf.set(key, [slot])
    else slots.splice(this.placeOf(slots, startMs), 0, slot)
    this.#keys[slot] = key
    this.#starts[slot] = startMs
    this.#flags[slot] = 0
    return slot
  }

  /** Forgets a window. */
  remove(slot: number): void {
    const key = this.#keys[slot]!
    const startMs = this.#starts[slot]!
    const slots = this.#slotsOf.get(key)!
    if (this.#flags[slot]! & stored) this.#gone.push(encodeKey([key, startMs]))
    if (slots.length === 1) this.#slotsOf.delete(key)
    else slots.splice(this.placeOf(slots, startMs), 1)
    this.#flags[slot] = 0
    if (this.#hasValues) this.values[slot] = undefined
    this.#freeSlots.push(slot)
  }

  /** The window has changed since the last checkpoint. */
  changed(slot: number): void {
    if (this.#flags[slot]! & changed) return
    this.#flags[slot]! |= changed
    this.#dirty.push(slot)
  }

  keyOf(slot: number): KeyPart {
    return this.#keys[slot]!
  }

  startOf(slot: number): TimestampMs {
    return this.#starts[slot]!
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    const rowBytes = this.width * 8
    for await (const chunk of database.scan(this.name)) {
      for (const { key, value } of chunk) {
        const [owner, startMs] = decodeKey(key)
        const slot = this.add(owner!, startMs as TimestampMs)
        this.#flags[slot] = stored
        const row = new Float64Array(this.width)
        new Uint8Array(row.buffer).set(value.subarray(0, rowBytes))
        this.cells.set(row, slot * this.width)
        if (this.#hasValues) this.values[slot] = unpackValue(value.subarray(rowBytes))
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
      const { bytes, doubles, at } = slab.take(width)
      for (let column = 0; column < width; column++) doubles[at + column] = this.cells[slot * width + column]!
      const value = this.#hasValues ? Buffer.concat([bytes, packValue(this.values[slot])]) : bytes
      into.push({ space: this.name, key: encodeKey([this.#keys[slot]!, this.#starts[slot]!]), value })
      this.#flags[slot]! |= stored
    }
  }

  clear(): void {
    this.#slotsOf.clear()
    this.#freeSlots.length = 0
    this.values.length = 0
    this.#keys = []
    this.#dirty = []
    this.#gone = []
  }

  #grow(): void {
    const flags = new Uint8Array(this.#flags.length * 2)
    flags.set(this.#flags)
    this.#flags = flags
    const starts = new Float64Array(flags.length)
    starts.set(this.#starts)
    this.#starts = starts
    const cells = new Float64Array(flags.length * this.width)
    cells.set(this.cells)
    this.cells = cells
  }
}
