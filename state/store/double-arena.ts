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
    const size = sizeClass(count)
    const reused = this.#free[size]?.pop()
    if (reused !== undefined) return reused
    const at = this.#end
    this.#end += 1 << size
    if (this.#end > this.cells.length) {
      const grown = new Float64Array(Math.max(this.#end, this.cells.length * 2))
      grown.set(this.cells)
      this.cells = grown
    }
    return at
  }

  /** Gives a block back; `count` as it was asked for. */
  release(at: number, count: number): void {
    const size = sizeClass(count)
    const list = this.#free[size]
    if (list === undefined) this.#free[size] = [at]
    else list.push(at)
  }

  clear(): void {
    this.#end = 0
    this.#free.length = 0
  }
}

/** The power of two that a block asked for with `count` really holds; from 2. */
export function sizeClass(count: number): number {
  return count <= 4 ? 2 : 32 - Math.clz32(count - 1)
}
