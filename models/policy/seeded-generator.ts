/** Words of a generator's state. */
export const generatorWidth = 4

/**
 * Random numbers that are the same for the same seed, everywhere and for
 * ever. The state is four 32-bit words, kept as doubles in `cells[at …]`, so
 * that it is saved and restored with whatever draws from it.
 *
 * Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number
 * Generators", ACM TOMS 2021 (xoshiro128**), seeded by Steele, Lea and Flood's
 * splitting mix, OOPSLA 2014, in 32 bits.
 */
export class SeededGenerator {
  readonly cells: Float64Array
  readonly #at: number

  /** Draws from the state at `cells[at …]`; `seed` fills it. */
  constructor(cells: Float64Array = new Float64Array(generatorWidth), at = 0) {
    this.cells = cells
    this.#at = at
  }

  /** A generator with a state of its own. */
  static of(seed: number): SeededGenerator {
    const generator = new SeededGenerator()
    generator.seed(seed)
    return generator
  }

  /** Starts anew. Any number is a seed; whole numbers of up to 53 bits that differ give different streams. */
  seed(seed: number): void {
    let low = seed >>> 0
    const high = Math.floor(seed / 2 ** 32) >>> 0
    for (let word = 0; word < generatorWidth; word++) {
      low = (low + 0x9e3779b9) >>> 0
      let hash = low ^ Math.imul(high + word, 0x85ebca6b)
      hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad)
      hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97)
      this.cells[this.#at + word] = (hash ^ (hash >>> 15)) >>> 0
    }
    // Four zero words would stay zero.
    this.cells[this.#at + 3] = this.cells[this.#at + 3]! || 1
  }

  /** A whole number from 0 to 2^32 - 1. */
  word(): number {
    const { cells } = this
    const at = this.#at
    const s0 = cells[at]! | 0
    const s1 = cells[at + 1]! | 0
    const s2 = (cells[at + 2]! | 0) ^ s0
    const s3 = (cells[at + 3]! | 0) ^ s1
    const product = Math.imul(s1, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    cells[at] = (s0 ^ s3) >>> 0
    cells[at + 1] = (s1 ^ s2) >>> 0
    cells[at + 2] = (s2 ^ (s1 << 9)) >>> 0
    cells[at + 3] = ((s3 << 11) | (s3 >>> 21)) >>> 0
    return result
  }

  /** Evenly spread over [0, 1), with 53 bits. */
  uniform(): number {
    return ((this.word() >>> 5) * 67_108_864 + (this.word() >>> 6)) / 9_007_199_254_740_992
  }

  /** A whole number from 0 to `count - 1`. */
  below(count: number): number {
    return Math.floor(this.uniform() * count)
  }

  /** Standard normal. Source: Marsaglia's polar method, SIAM Review 1964; the second number of each pair is not kept. */
  normal(): number {
    for (;;) {
      const u = 2 * this.uniform() - 1
      const v = 2 * this.uniform() - 1
      const square = u * u + v * v
      if (square > 0 && square < 1) return u * Math.sqrt((-2 * Math.log(square)) / square)
    }
  }

  /** Gamma of this shape and scale 1. Source: Marsaglia and Tsang, ACM TOMS 2000. */
  gamma(shape: number): number {
    if (!(shape > 0)) throw new RangeError(`the shape of a gamma distribution must be positive, got ${shape}`)
    if (shape < 1) return this.gamma(shape + 1) * this.uniform() ** (1 / shape)
    const d = shape - 1 / 3
    const c = 1 / Math.sqrt(9 * d)
    for (;;) {
      const z = this.normal()
      const v = (1 + c * z) ** 3
      if (v > 0 && Math.log(1 - this.uniform()) < 0.5 * z * z + d - d * v + d * Math.log(v)) return d * v
    }
  }

  /** Beta of these two parameters. */
  beta(a: number, b: number): number {
    const x = this.gamma(a)
    return x / (x + this.gamma(b))
  }

  /** Poisson of this mean, for small means. Source: Knuth, "Seminumerical Algorithms", section 3.4.1. */
  poisson(mean: number): number {
    const limit = Math.exp(-mean)
    let count = 0
    for (let product = this.uniform(); product > limit; product *= this.uniform()) count++
    return count
  }

  /** `size` different numbers below `count`, ascending. */
  sample(count: number, size: number): number[] {
    const chosen: number[] = []
    for (let index = 0; index < count && chosen.length < size; index++) {
      if (this.uniform() * (count - index) < size - chosen.length) chosen.push(index)
    }
    return chosen
  }
}
