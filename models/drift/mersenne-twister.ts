/** Doubles of a twister's state: 624 words and the position among them. */
export const twisterWidth = 625

const size = 624
const middle = 397

/**
 * The generator of many other programs, with its state in `cells[at …]`: where
 * a result of theirs is to be met draw for draw. New things draw from
 * `SeededGenerator`.
 *
 * Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 1998
 * (MT19937, seeded by an array of words); bounded draws and samples as
 * documented for the standard library of Python.
 */
export class MersenneTwister {
  readonly #cells: Float64Array
  readonly #at: number

  constructor(cells: Float64Array, at = 0) {
    this.#cells = cells
    this.#at = at
  }

  /** Any whole number of up to 53 bits; its sign does not count. */
  seed(seed: number): void {
    const whole = Math.abs(seed)
    const key = whole < 2 ** 32 ? [whole] : [whole % 2 ** 32, Math.floor(whole / 2 ** 32)]
    const words = new Uint32Array(size)
    words[0] = 19_650_218
    for (let i = 1; i < size; i++)
      words[i] = Math.imul(1_812_433_253, words[i - 1]! ^ (words[i - 1]! >>> 30)) + i
    let i = 1
    let j = 0
    const advance = () => {
      if (++i < size) return
      words[0] = words[size - 1]!
      i = 1
    }
    for (let k = 0; k < size; k++) {
      const mixed = Math.imul(words[i - 1]! ^ (words[i - 1]! >>> 30), 1_664_525)
      words[i] = (words[i]! ^ mixed) + key[j]! + j
      advance()
      j = (j + 1) % key.length
    }
    for (let k = 1; k < size; k++) {
      const mixed = Math.imul(words[i - 1]! ^ (words[i - 1]! >>> 30), 1_566_083_941)
      words[i] = (words[i]! ^ mixed) - i
      advance()
    }
    words[0] = 0x80000000
    this.#cells.set(words, this.#at)
    this.#cells[this.#at + size] = size
  }

  /** A whole number from 0 to 2^32 - 1. */
  word(): number {
    const cells = this.#cells
    const at = this.#at
    if (cells[at + size] === size) this.#twist()
    const index = cells[at + size]!
    cells[at + size] = index + 1
    let word = cells[at + index]! | 0
    word ^= word >>> 11
    word ^= (word << 7) & 0x9d2c5680
    word ^= (word << 15) & 0xefc60000
    return (word ^ (word >>> 18)) >>> 0
  }

  /** A whole number from 0 to `count - 1`, for counts below 2^32. */
  below(count: number): number {
    const shift = Math.clz32(count)
    for (;;) {
      const drawn = this.word() >>> shift
      if (drawn < count) return drawn
    }
  }

  /** `size` different numbers below `count`, in the order drawn. */
  sample(count: number, wanted: number): number[] {
    const setSize = wanted > 5 ? 21 + 4 ** Math.ceil(Math.log(wanted * 3) / Math.log(4)) : 21
    const drawn: number[] = []
    if (count <= setSize) {
      const pool = Array.from({ length: count }, (_, index) => index)
      for (let left = count; left > count - wanted; left--) {
        const index = this.below(left)
        drawn.push(pool[index]!)
        pool[index] = pool[left - 1]!
      }
      return drawn
    }
    const chosen = new Set<number>()
    while (chosen.size < wanted) chosen.add(this.below(count))
    return [...chosen]
  }

  #twist(): void {
    const cells = this.#cells
    const at = this.#at
    for (let index = 0; index < size; index++) {
      const next = cells[at + ((index + 1) % size)]! | 0
      const joined = ((cells[at + index]! | 0) & 0x80000000) | (next & 0x7fffffff)
      const far = cells[at + ((index + middle) % size)]! | 0
      cells[at + index] = (far ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0)) >>> 0
    }
    cells[at + size] = 0
  }
}
