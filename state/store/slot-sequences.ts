import { blockSize, type DoubleArena } from './double-arena.ts'

/** Numbers kept for each slot: where its block is, for how many items, the first item's place in it, and how many there are. */
const at = 0
const capacity = 1
const head = 2
const count = 3
const width = 4

/**
 * A sequence of equally wide items for each of many slots, contiguous in a
 * shared arena: it grows at its end, seldom in its middle, and shrinks at its
 * front. Costs no object per slot.
 */
export class SlotSequences {
  /** Doubles of an item. */
  readonly stride: number
  readonly #arena: DoubleArena
  #slots = new Int32Array(1024 * width)

  constructor(arena: DoubleArena, stride: number) {
    this.#arena = arena
    this.stride = stride
  }

  /** Makes a slot's sequence empty, whatever was there. */
  open(slot: number): void {
    const place = slot * width
    if (place >= this.#slots.length) {
      const grown = new Int32Array(Math.max(place + width, this.#slots.length * 2))
      grown.set(this.#slots)
      this.#slots = grown
    }
    this.#slots.fill(0, place, place + width)
  }

  /** Gives a slot's memory back. */
  release(slot: number): void {
    const place = slot * width
    const items = this.#slots[place + capacity]!
    if (items > 0) this.#arena.release(this.#slots[place + at]!, items * this.stride)
    this.#slots.fill(0, place, place + width)
  }

  countOf(slot: number): number {
    return this.#slots[slot * width + count]!
  }

  /** Cell of the first item; the others follow. */
  startOf(slot: number): number {
    const place = slot * width
    return this.#slots[place + at]! + this.#slots[place + head]! * this.stride
  }

  /**
   * Makes room for an item before item `index`; returns its cell. Its content
   * is undefined. The arena's cells may be others afterwards.
   */
  insert(slot: number, index: number): number {
    const place = slot * width
    const items = this.#slots[place + count]!
    const { stride } = this
    if (this.#slots[place + head]! + items === this.#slots[place + capacity]!) this.#makeRoom(place, 1)
    this.#slots[place + count] = items + 1
    const start = this.startOf(slot)
    const cell = start + index * stride
    if (index < items) this.#arena.cells.copyWithin(cell + stride, cell, start + items * stride)
    return cell
  }

  /** Fills an empty sequence. */
  load(slot: number, items: Float64Array): void {
    if (items.length === 0) return
    const place = slot * width
    const loaded = items.length / this.stride
    this.#makeRoom(place, loaded)
    this.#slots[place + count] = loaded
    this.#arena.cells.set(items, this.startOf(slot))
  }

  removeFirst(slot: number, items: number): void {
    const place = slot * width
    this.#slots[place + head] = this.#slots[place + head]! + items
    this.#slots[place + count] = this.#slots[place + count]! - items
  }

  /** Takes `items` out from item `index` on. */
  remove(slot: number, index: number, items: number): void {
    const place = slot * width
    const { stride } = this
    const start = this.startOf(slot)
    const end = start + this.#slots[place + count]! * stride
    const cell = start + index * stride
    this.#arena.cells.copyWithin(cell, cell + items * stride, end)
    this.#slots[place + count] = this.#slots[place + count]! - items
  }

  /** Room for `more` items at the end of a sequence whose block is full. */
  #makeRoom(place: number, more: number): void {
    const slots = this.#slots
    const { stride } = this
    const items = slots[place + count]!
    const before = slots[place + capacity]!
    const from = slots[place + at]! + slots[place + head]! * stride
    if (slots[place + head]! > items) {
      // More than half of the block has expired: the living ones slide down.
      this.#arena.cells.copyWithin(slots[place + at]!, from, from + items * stride)
    } else {
      const asked = Math.max(items + more, before * 2) * stride
      const target = this.#arena.allocate(asked)
      this.#arena.cells.copyWithin(target, from, from + items * stride)
      if (before > 0) this.#arena.release(slots[place + at]!, before * stride)
      slots[place + at] = target
      slots[place + capacity] = Math.floor(blockSize(asked) / stride)
    }
    slots[place + head] = 0
  }
}
