/** Slots whose last read is kept. */
const kept = 256
/** Numbers that say what a window's row is of: two bounds, and how much was merged. */
const boundsOfWindow = 3

interface KeptRead {
  slot: number
  /** The windows that were read; an array is known by itself. */
  oversMs: Float64Array
  bounds: Float64Array
  /** Of each window its row. */
  rows: Float64Array
}

/**
 * What windows showed when they were last read, of the slots read last: asked
 * again before anything has changed within its bounds, a window needs no
 * second fold. The slot keeps the number of its read, and sets it to 0 when
 * something has changed.
 */
export class KeptReads {
  readonly #width: number
  readonly #reads: KeptRead[] = []
  #next = 0

  /** `width` is that of a row. */
  constructor(width: number) {
    this.#width = width
  }

  /** The number of a slot's read, an empty one if `number` is 0 or has become another slot's; from 1. */
  numberOf(slot: number, number: number, oversMs: Float64Array): number {
    const known = this.#reads[number - 1]
    if (known !== undefined && known.slot === slot && known.oversMs === oversMs) return number
    const place = this.#next
    this.#next = (place + 1) % kept
    const windows = oversMs.length
    let read = this.#reads[place]
    if (read === undefined || read.bounds.length !== boundsOfWindow * windows) {
      read = {
        slot,
        oversMs,
        bounds: new Float64Array(boundsOfWindow * windows),
        rows: new Float64Array(windows * this.#width),
      }
      this.#reads[place] = read
    }
    read.slot = slot
    read.oversMs = oversMs
    read.bounds.fill(Number.NaN)
    return place + 1
  }

  /** Copies a window's row to `into[at …]` if it is of these bounds, and says how much it is the merge of; or -1. */
  copy(number: number, window: number, from: number, to: number, into: Float64Array, at: number): number {
    const { bounds, rows } = this.#reads[number - 1]!
    const bound = boundsOfWindow * window
    if (bounds[bound] !== from || bounds[bound + 1] !== to) return -1
    const width = this.#width
    for (let column = 0; column < width; column++) into[at + column] = rows[window * width + column]!
    return bounds[bound + 2]!
  }

  keep(
    number: number,
    window: number,
    from: number,
    to: number,
    merged: number,
    row: Float64Array,
    at: number,
  ): void {
    const { bounds, rows } = this.#reads[number - 1]!
    const bound = boundsOfWindow * window
    bounds[bound] = from
    bounds[bound + 1] = to
    bounds[bound + 2] = merged
    const width = this.#width
    for (let column = 0; column < width; column++) rows[window * width + column] = row[at + column]!
  }

  clear(): void {
    this.#reads.length = 0
    this.#next = 0
  }
}
