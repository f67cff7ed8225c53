/** Whole numbers kept for each slot: 64 bytes, so that what a read needs of a key comes with one cache line or two. */
export const slotInts = 16
/** The same line as doubles. */
export const slotDoubles = 8

/**
 * A line of numbers for each slot of a store, in one typed array: no object
 * per key, and no more than a line to fetch where keys are many.
 */
export class SlotTable {
  /** Slot s has `slotInts` numbers from `s * slotInts` on. Replaced when the table grows. */
  ints: Int32Array
  /** The same memory: slot s has `slotDoubles` from `s * slotDoubles` on. */
  doubles: Float64Array

  constructor(slots = 1024) {
    this.doubles = new Float64Array(slots * slotDoubles)
    this.ints = new Int32Array(this.doubles.buffer)
  }

  /** Zeroes a slot's numbers; makes room for it first if it is new. */
  open(slot: number): void {
    const at = slot * slotDoubles
    if (at >= this.doubles.length) {
      const grown = new Float64Array(Math.max(at + slotDoubles, this.doubles.length * 2))
      grown.set(this.doubles)
      this.doubles = grown
      this.ints = new Int32Array(grown.buffer)
    }
    this.doubles.fill(0, at, at + slotDoubles)
  }
}
