import type { TimestampMs } from '../../state/contracts/units.ts'

/** Slots by the time at which something is due for them, the earliest first: a binary heap. Slots of one time come in any order. */
export class DueHeap {
  #times = new Float64Array(1024)
  #slots = new Int32Array(1024)
  #size = 0

  /** Infinity when nothing is due. */
  get firstMs(): TimestampMs {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#times[0]!
  }

  push(dueMs: TimestampMs, slot: number): void {
    if (this.#size === this.#times.length) this.#grow()
    const times = this.#times
    const slots = this.#slots
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (times[parent]! <= dueMs) break
      times[at] = times[parent]!
      slots[at] = slots[parent]!
      at = parent
    }
    times[at] = dueMs
    slots[at] = slot
  }

  /** Takes the first one out; there must be one. */
  pop(): number {
    const times = this.#times
    const slots = this.#slots
    const first = slots[0]!
    const size = --this.#size
    const dueMs = times[size]!
    const slot = slots[size]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && times[child + 1]! < times[child]!) child++
      if (times[child]! >= dueMs) break
      times[at] = times[child]!
      slots[at] = slots[child]!
      at = child
    }
    times[at] = dueMs
    slots[at] = slot
    return first
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2)
    times.set(this.#times)
    this.#times = times
    const slots = new Int32Array(times.length)
    slots.set(this.#slots)
    this.#slots = slots
  }
}
