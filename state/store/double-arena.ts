/**
 * Blocks of doubles in one growing typed array, so that per-key state costs
 * no object and no garbage. Sizes are powers of two; freed blocks are reused.
 */
export class DoubleArena {
  /** The memory. Replaced when it grows: read it anew after every `allocate`. */
  cells: Float64Array
  #end = 0
  readonly #free: number[][] = []

  constructor(capacity = 1 << 16) {
    this.cells = new Float64Array(capacity)
  }

  /** Doubles in use or on a free list. */
  get size(): number {
    return this.#end
  }

  /** Index of a block of at least `count` doubles; its content is undefined. */
  allocate(count: number): number {
    const sizeClass = classOf(count)
    const reused = this.#free[sizeClass]?.pop()
    if (reused !== undefined) return reused
    const at = this.#end
    this.#end += 1 << sizeClass
    if (this.#end > this.cells.length) {
      const grown = new Float64Array(Math.max(this.#end, this.cells.length * 2))
      grown.set(this.cells)
      this.cells = grown
    }
    return at
  }

  /** Gives a block back; `count` as it was asked for. */
  release(at: number, count: number): void {
    const sizeClass = classOf(count)
    const list = this.#free[sizeClass]
    if (list === undefined) this.#free[sizeClass] = [at]
    else list.push(at)
  }

  clear(): void {
    this.#end = 0
    this.#free.length = 0
  }
}

/** How many doubles a block asked for with `count` really holds. */
export const blockSize = (count: number): number => 1 << classOf(count)

function classOf(count: number): number {
  return count <= 4 ? 2 : 32 - Math.clz32(count - 1)
}
