import { cellDetector, checkSetting, type DriftDetector } from './drift-detector.ts'

export interface AdwinOptions {
  /** Chance of a false alarm at a cut; 0.002 unless given. */
  readonly delta?: number
  /** Cuts are looked for at every so many values; 32 unless given. */
  readonly clock?: number
  /** Buckets of a size, above which two become one of twice the size; 5 unless given. */
  readonly maxBuckets?: number
  /** Least values on each side of a cut; 5 unless given. */
  readonly minWindowLength?: number
  /** No cut while the window holds so many values or fewer; 10 unless given. */
  readonly gracePeriod?: number
  /** True unless given: after a drift the window starts empty. Else it keeps the values behind the cut. */
  readonly resetOnDrift?: boolean
  /** `all`: every boundary of buckets is a cut. `inner`: not the one behind the last bucket of a size, as early versions of River. */
  readonly cuts?: 'all' | 'inner'
}

/** What is in the window of an ADWIN detector. */
export interface AdwinWindow {
  /** Values in the window. */
  readonly width: number
  readonly total: number
  /** Sum of squared deviations from the mean. */
  readonly varianceSum: number
  /** Mean of the window, 0 while it is empty. */
  readonly mean: number
}

const atTick = 0
const atWidth = 1
const atTotal = 2
const atVariance = 3
const atRows = 4
const firstRow = 5

/** Buckets of 2^0 … 2^47 values: more than a stream will have. */
const rowLimit = 48

/**
 * A window of values that shrinks when two parts of it have different means:
 * the values are kept as exponentially growing buckets of total and variance,
 * and each boundary between them is tried as a cut. No warnings.
 *
 * Source: Bifet and Gavaldà, "Learning from Time-Changing Data with Adaptive
 * Windowing", SDM 2007; the bound as in the library River, with the variances
 * of Babcock et al., "Maintaining Variance and k-Medians over Data Stream
 * Windows", PODS 2003.
 */
export function adwin(options: AdwinOptions = {}): DriftDetector & { readonly window: AdwinWindow } {
  const settings = {
    delta: 0.002,
    clock: 32,
    maxBuckets: 5,
    minWindowLength: 5,
    gracePeriod: 10,
    resetOnDrift: true,
    cuts: 'all' as const,
    ...options,
  }
  checkSetting('delta', settings.delta, Number.MIN_VALUE, 1)
  checkSetting('clock', settings.clock, 1, Number.MAX_SAFE_INTEGER)
  checkSetting('maxBuckets', settings.maxBuckets, 1, 1_000)
  checkSetting('minWindowLength', settings.minWindowLength, 1, Number.MAX_SAFE_INTEGER)
  const buckets = new Buckets(settings)
  const detector = cellDetector({
    name: `adwin ${JSON.stringify(settings)}`,
    width: buckets.cellCount,
    start: (cells) => {
      cells[atRows] = 1
    },
    step(cells, value) {
      buckets.insert(cells, value)
      const tick = cells[atTick]! + 1
      cells[atTick] = tick
      if (tick % settings.clock !== 0 || cells[atWidth]! <= settings.gracePeriod) return 'steady'
      let found = false
      while (buckets.hasCut(cells)) {
        found = true
        buckets.removeOldest(cells)
      }
      return found ? 'drift' : 'steady'
    },
    startsAnew: settings.resetOnDrift,
  })
  const { cells } = detector
  return {
    ...detector,
    get window(): AdwinWindow {
      const width = cells[atWidth]!
      const total = cells[atTotal]!
      return { width, total, varianceSum: cells[atVariance]!, mean: width > 0 ? total / width : 0 }
    },
  }
}

/** Rows of buckets in cells, oldest first in a row: `[ count | totals … | variances … ]`; row r holds 2^r values a bucket. */
class Buckets {
  readonly cellCount: number
  readonly #settings: Required<AdwinOptions>
  readonly #capacity: number

  constructor(settings: Required<AdwinOptions>) {
    this.#settings = settings
    this.#capacity = settings.maxBuckets + 1
    this.cellCount = firstRow + rowLimit * this.#rowWidth
  }

  get #rowWidth(): number {
    return 1 + 2 * this.#capacity
  }

  insert(cells: Float64Array, value: number): void {
    this.#append(cells, 0, value, 0)
    const before = cells[atWidth]!
    if (before > 0) {
      const deviation = value - cells[atTotal]! / before
      cells[atVariance] = cells[atVariance]! + (before * deviation * deviation) / (before + 1)
    }
    cells[atWidth] = before + 1
    cells[atTotal] = cells[atTotal]! + value
    this.#compress(cells)
  }

  /** True where some boundary parts the window into two whose means differ by more than chance. */
  hasCut(cells: Float64Array): boolean {
    const { cuts, minWindowLength } = this.#settings
    let oldCount = 0
    let newCount = cells[atWidth]!
    let oldTotal = 0
    let newTotal = cells[atTotal]!
    for (let row = cells[atRows]! - 1; row >= 0; row--) {
      const at = firstRow + row * this.#rowWidth
      const size = 2 ** row
      const last = cells[at]! - (cuts === 'inner' || row === 0 ? 1 : 0)
      for (let bucket = 0; bucket < last; bucket++) {
        const total = cells[at + 1 + bucket]!
        oldCount += size
        newCount -= size
        oldTotal += total
        newTotal -= total
        if (newCount < minWindowLength || oldCount < minWindowLength) continue
        const difference = oldTotal / oldCount - newTotal / newCount
        if (this.#isMoreThanChance(cells, oldCount, newCount, difference)) return true
      }
    }
    return false
  }

  removeOldest(cells: Float64Array): void {
    const row = cells[atRows]! - 1
    const at = firstRow + row * this.#rowWidth
    const size = 2 ** row
    const total = cells[at + 1]!
    const width = cells[atWidth]! - size
    cells[atWidth] = width
    cells[atTotal] = cells[atTotal]! - total
    const difference = total / size - cells[atTotal]! / width
    cells[atVariance] =
      cells[atVariance]! -
      (cells[at + 1 + this.#capacity]! + (size * width * difference * difference) / (size + width))
    this.#drop(cells, row, 1)
    if (cells[at] === 0) cells[atRows] = row
  }

  #isMoreThanChance(cells: Float64Array, oldCount: number, newCount: number, difference: number): boolean {
    const { delta, minWindowLength } = this.#settings
    const width = cells[atWidth]!
    const confidence = Math.log((2 * Math.log(width)) / delta)
    const share = 1 / (oldCount - minWindowLength + 1) + 1 / (newCount - minWindowLength + 1)
    const bound =
      Math.sqrt(2 * share * (cells[atVariance]! / width) * confidence) + (2 / 3) * confidence * share
    return Math.abs(difference) > bound
  }

  #append(cells: Float64Array, row: number, total: number, variance: number): void {
    const at = firstRow + row * this.#rowWidth
    const count = cells[at]!
    cells[at + 1 + count] = total
    cells[at + 1 + this.#capacity + count] = variance
    cells[at] = count + 1
  }

  /** Removes the oldest buckets of a row. */
  #drop(cells: Float64Array, row: number, count: number): void {
    const at = firstRow + row * this.#rowWidth
    for (const start of [at + 1, at + 1 + this.#capacity]) {
      cells.copyWithin(start, start + count, start + this.#capacity)
      cells.fill(0, start + this.#capacity - count, start + this.#capacity)
    }
    cells[at] = cells[at]! - count
  }

  #compress(cells: Float64Array): void {
    for (let row = 0; row + 1 < rowLimit; row++) {
      const at = firstRow + row * this.#rowWidth
      if (cells[at]! < this.#capacity) return
      if (row + 1 === cells[atRows]) cells[atRows] = row + 2
      const size = 2 ** row
      const [left, right] = [cells[at + 1]!, cells[at + 2]!]
      const difference = left / size - right / size
      const variances = at + 1 + this.#capacity
      const between = (size * size * difference * difference) / (2 * size)
      this.#append(cells, row + 1, left + right, cells[variances]! + cells[variances + 1]! + between)
      this.#drop(cells, row, 2)
    }
  }
}
