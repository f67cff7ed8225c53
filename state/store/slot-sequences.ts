import { type DoubleArena, sizeClass } from './double-arena.ts'
import { type SlotTable, slotInts } from './slot-table.ts'

/** Numbers that a sequence keeps for each slot. */
export const sequenceInts = 3
/** Cell where its block begins. */
const block = 0
/** Cell of its first item: the block's beginning, until items are removed there. */
const first = 1
/** How many items there are, and in the low bits the size of the block as a power of two; 0 without a block. */
const countAndSize = 2
const sizeBits = 5
const sizeMask = (1 << sizeBits) - 1

/**
 * A sequence of equally wide items for each of many slots, contiguous in a
 * shared arena: it grows at its end, seldom in its middle, and shrinks at its
 * front. Costs no object per slot.
 */
export class SlotSequences {
  /** Doubles of an item. */
  readonly stride: number
  readonly #arena: DoubleArena
  readonly #table: SlotTable
  readonly #place: number

  /** `place` is where the sequence has its `sequenceInts` numbers in a slot's line. */
  constructor(arena: DoubleArena, table: SlotTable, place: number, stride: number) {
    this.#arena = arena
    this.#table = table
    this.#place = place
    this.stride = stride
  }

  /** Gives a slot's memory back. */
  release(slot: number): void {
    const { ints } = this.#table
    const place = slot * slotInts + this.#place
    const size = ints[place + countAndSize]! & sizeMask
    if (size > 0) this.#arena.release(ints[place + block]!, 1 << size)
    ints.fill(0, place, place + sequenceInts)
  }

  countOf(slot: number): number {
    return this.#table.ints[slot * slotInts + this.#place + countAndSize]! >>> sizeBits
  }

  /** Cell of the first item; the others follow. */
  startOf(slot: number): number {
    return this.#table.ints[slot * slotInts + this.#place + first]!
  }

  /**
   * Makes room for an item before item `index`; returns its cell. Its content
   * is undefined. The arena's cells may be others afterwards.
   */
  insert(slot: number, index: number): number {
    const { ints } = this.#table
    const place = slot * slotInts + this.#place
    const { stride } = this
    const known = ints[place + countAndSize]!
    const doubles = (known >>> sizeBits) * stride
    const size = known & sizeMask
    const isFull = size === 0 || ints[place + first]! + doubles + stride > ints[place + block]! + (1 << size)
    if (isFull) this.#makeRoom(place, 1)
    ints[place + countAndSize]! += 1 << sizeBits
    const start = ints[place + first]!
    const cell = start + index * stride
    if (cell < start + doubles) this.#arena.cells.copyWithin(cell + stride, cell, start + doubles)
    return cell
  }

  /** Fills an empty sequence. */
  load(slot: number, items: Float64Array): void {
    if (items.length === 0) return
    const { ints } = this.#table
    const place = slot * slotInts + this.#place
    const loaded = items.length / this.stride
    this.#makeRoom(place, loaded)
    ints[place + countAndSize]! += loaded << sizeBits
    this.#arena.cells.set(items, ints[place + first]!)
  }

  removeFirst(slot: number, items: number): void {
    const { ints } = this.#table
    const place = slot * slotInts + this.#place
    ints[place + first]! += items * this.stride
    ints[place + countAndSize]! -= items << sizeBits
  }

  /** Takes `items` out from item `index` on. */
  remove(slot: number, index: number, items: number): void {
    const { ints } = this.#table
    const place = slot * slotInts + this.#place
    const { stride } = this
    const start = ints[place + first]!
    const end = start + (ints[place + countAndSize]! >>> sizeBits) * stride
    const cell = start + index * stride
    this.#arena.cells.copyWithin(cell, cell + items * stride, end)
    ints[place + countAndSize]! -= items << sizeBits
  }

  /** Room for `more` items at the end of a sequence whose block is full. */
  #makeRoom(place: number, more: number): void {
    const { ints } = this.#table
    const { stride } = this
    const known = ints[place + countAndSize]!
    const items = known >>> sizeBits
    const size = known & sizeMask
    const before = size === 0 ? 0 : 1 << size
    const from = ints[place + first]!
    let target = ints[place + block]!
    if (from - target <= items * stride) {
      // Less than half of the block has expired: the living ones move to a larger one.
      const asked = Math.max((items + more) * stride, before * 2)
      const larger = this.#arena.allocate(asked)
      this.#arena.cells.copyWithin(larger, from, from + items * stride)
      if (before > 0) this.#arena.release(target, before)
      target = larger
      ints[place + block] = target
      ints[place + countAndSize] = (items << sizeBits) | sizeClass(asked)
    } else {
      this.#arena.cells.copyWithin(target, from, from + items * stride)
    }
    ints[place + first] = target
  }
}
