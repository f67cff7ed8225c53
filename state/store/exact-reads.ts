/** Slots whose last read is kept; a power of two. */
const kept = 256

interface ExactRead {
  slot: number
  /** The windows that were read; an array is known by itself. */
  oversMs: Float64Array | undefined
  /** Of each window the first of its events, and that after its last. */
  raws: Int32Array
  /** Of each window its row. */
  rows: Float64Array
}

/**
 * What exact windows showed when they were last read, of the slots read last:
 * asked again before the slot takes an event in, a window that still holds the
 * same events needs no second fold.
 */
export class ExactReads {
  readonly #width: number
  readonly #reads: ExactRead[] = []
  #next = 0

  /** `width` is that of a row. */
  constructor(width: number) {
    this.#width = width
  }

  /** The number of a slot's read, made if `number` is 0 or has become another slot's; from 1. */
  numberOf(slot: number, number: number, oversMs: Float64Array): number {
    const known = this.#reads[number - 1]
    if (known !== undefined && known.slot === slot && known.oversMs === oversMs) return number
    const place = this.#next
    this.#next = (place + 1) % kept
    const windows = oversMs.length
    let read = this.#reads[place]
    if (read === undefined || read.raws.length !== 2 * windows) {
      read = {
        slot,
        oversMs,
        raws: new Int32Array(2 * windows),
        rows: new Float64Array(windows * this.#width),
      }
      this.#reads[place] = read
    }
    read.slot = slot
    read.oversMs = oversMs
    read.raws.fill(-1)
    return place + 1
  }

  /** Copies a window's row to `into[at …]` if it is of these events. */
  copy(number: number, window: number, raw: number, rawEnd: number, into: Float64Array, at: number): boolean {
    const { raws, rows } = this.#reads[number - 1]!
    if (raws[2 * window] !== raw || raws[2 * window + 1] !== rawEnd) return false
    const width = this.#width
    for (let column = 0; column < width; column++) into[at + column] = rows[window * width + column]!
    return true
  }

  keep(number: number, window: number, raw: number, rawEnd: number, from: Float64Array, at: number): void {
    const { raws, rows } = this.#reads[number - 1]!
    raws[2 * window] = raw
    raws[2 * window + 1] = rawEnd
    const width = this.#width
    for (let column = 0; column < width; column++) rows[window * width + column] = from[at + column]!
  }

  clear(): void {
    this.#reads.length = 0
    this.#next = 0
  }
}
