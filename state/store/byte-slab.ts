/** Most doubles of one block. */
const slabDoubles = 1 << 15

/** A piece of a slab, as the bytes that a database takes and as the doubles that are written to it. */
export interface SlabPiece {
  readonly bytes: Uint8Array
  readonly doubles: Float64Array
  /** First double of the piece. */
  readonly at: number
}

/**
 * Memory for the many values of one checkpoint, taken in large blocks: one
 * allocation outside of the heap for hundreds of values.
 */
export class ByteSlab {
  readonly #blockDoubles: number
  #doubles = new Float64Array(0)
  #bytes = Buffer.alloc(0)
  #at = 0

  /** `pieces` are to be taken; a slab for a few is small. */
  constructor(pieces: number) {
    this.#blockDoubles = Math.min(slabDoubles, pieces * 64)
  }

  /** A piece of `count` doubles, not shared with any other. */
  take(count: number): SlabPiece {
    if (this.#at + count > this.#doubles.length) {
      this.#doubles = new Float64Array(Math.max(this.#blockDoubles, count))
      this.#bytes = Buffer.from(this.#doubles.buffer)
      this.#at = 0
    }
    const at = this.#at
    this.#at += count
    return { bytes: this.#bytes.subarray(at * 8, this.#at * 8), doubles: this.#doubles, at }
  }
}
