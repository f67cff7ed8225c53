const vectorsOfPiece = 64

/**
 * Vectors of one width, cut from larger pieces of memory: an allocation of its
 * own for each would cost more than to fill it, and the collector as much again.
 */
export class VectorSlab {
  readonly #width: number
  #doubles = new Float64Array(0)
  #at = 0

  constructor(width: number) {
    this.#width = width
  }

  /** All zeros, and nobody else's. */
  take(): Float64Array {
    if (this.#at + this.#width > this.#doubles.length) {
      this.#doubles = new Float64Array(this.#width * vectorsOfPiece)
      this.#at = 0
    }
    const from = this.#at
    this.#at += this.#width
    return this.#doubles.subarray(from, this.#at)
  }
}
