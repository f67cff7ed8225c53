import type { SeededGenerator } from '../policy/seeded-generator.ts'

/** More different values than this make a column a number rather than a category. */
export const categoryLimit = 20

/**
 * What is kept of one column of a slice, in memory that does not grow with it.
 * Exact: how many values there are and are missing, their mean, and the count
 * of each value while there are few different ones. A uniform sample of the
 * rest: exact as well until it is full.
 *
 * Source of the sampling: Li, "Reservoir-Sampling Algorithms of Time
 * Complexity O(n(1 + log(N/n)))", ACM TOMS 1994, algorithm L: it draws how many
 * values are passed over, and so draws hardly ever.
 */
export class ColumnSketch {
  /** Values that are there. */
  count = 0
  /** Values that are not: NaN, and infinite ones. */
  missing = 0
  mean = Number.NaN
  readonly #generator: SeededGenerator
  readonly #reservoir: Float64Array
  /** The value that comes into the sample next, by its number. */
  #next = 0
  /** The greatest key in the sample, as if each value had a random one from 0 to 1 and the smallest were kept. */
  #threshold = 1
  #categories: Map<number, number> | undefined = new Map()

  constructor(sampleSize: number, generator: SeededGenerator) {
    this.#generator = generator
    this.#reservoir = new Float64Array(sampleSize)
  }

  add(value: number): void {
    if (!Number.isFinite(value)) {
      this.missing++
      return
    }
    this.count++
    this.mean = this.count === 1 ? value : this.mean + (value - this.mean) / this.count
    if (this.count <= this.#reservoir.length) {
      this.#reservoir[this.count - 1] = value
      if (this.count === this.#reservoir.length) this.#drawNext()
    } else if (this.count === this.#next) {
      this.#reservoir[this.#generator.below(this.#reservoir.length)] = value
      this.#drawNext()
    }
    if (this.#categories === undefined) return
    // -0 and 0 are one category, as they are one key of a map.
    this.#categories.set(value, (this.#categories.get(value) ?? 0) + 1)
    if (this.#categories.size > categoryLimit) this.#categories = undefined
  }

  #drawNext(): void {
    const logarithm = () => Math.log(1 - this.#generator.uniform())
    this.#threshold *= Math.exp(logarithm() / this.#reservoir.length)
    this.#next = this.count + Math.floor(logarithm() / Math.log1p(-this.#threshold)) + 1
  }

  get missingShare(): number {
    const all = this.count + this.missing
    return all === 0 ? 0 : this.missing / all
  }

  /** True where `sample` is not all there is. */
  get isSampled(): boolean {
    return this.count > this.#reservoir.length
  }

  /** Count of each different value; undefined where there are too many of them. */
  get categories(): ReadonlyMap<number, number> | undefined {
    return this.#categories
  }

  /** The sampled values, ascending. */
  sample(): Float64Array {
    return this.#reservoir.slice(0, Math.min(this.count, this.#reservoir.length)).sort()
  }
}
