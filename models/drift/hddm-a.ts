import { cellDetector, checkSetting, type DriftDetector } from './drift-detector.ts'

export interface HddmOptions {
  /** Chance of a false drift at a value; 0.001 unless given. */
  readonly driftConfidence?: number
  /** Chance of a false warning at a value; 0.005 unless given. */
  readonly warningConfidence?: number
  /** Whether a fall of the mean counts as well; false unless given. */
  readonly twoSided?: boolean
}

/** Pairs of [ count | mean ]. */
const atLeast = 0
const atMost = 2
const atAll = 4

/**
 * Compares the mean of all values with the mean up to the point where it was
 * surely lowest (and highest), by Hoeffding's bound for values in [0, 1].
 *
 * Source: Frías-Blanco et al., "Online and Non-Parametric Drift Detection
 * Methods Based on Hoeffding's Bounds", IEEE TKDE 2015, method A.
 */
export function hddmA(options: HddmOptions = {}): DriftDetector {
  const settings = { driftConfidence: 0.001, warningConfidence: 0.005, twoSided: false, ...options }
  const { driftConfidence, warningConfidence, twoSided } = settings
  checkSetting('driftConfidence', driftConfidence, Number.MIN_VALUE, 1)
  checkSetting('warningConfidence', warningConfidence, Number.MIN_VALUE, 1)
  const bound = (count: number) => Math.sqrt((1 / (2 * count)) * Math.log(1 / driftConfidence))
  return cellDetector({
    name: `hddm-a ${JSON.stringify(settings)}`,
    width: 6,
    step(cells, value) {
      const count = cells[atAll]! + 1
      const mean = cells[atAll + 1]! + (1 / count) * (value - cells[atAll + 1]!)
      cells[atAll] = count
      cells[atAll + 1] = mean
      for (const at of [atLeast, atMost]) if (cells[at] === 0) cells.copyWithin(at, atAll, atAll + 2)
      const here = bound(count)
      if (cells[atLeast + 1]! + bound(cells[atLeast]!) >= mean + here) cells.copyWithin(atLeast, atAll)
      if (cells[atMost + 1]! - bound(cells[atMost]!) <= mean - here) cells.copyWithin(atMost, atAll)
      if (differs(cells, atLeast, 1, driftConfidence)) return 'drift'
      if (twoSided && differs(cells, atMost, -1, driftConfidence)) return 'drift'
      const isWarned =
        differs(cells, atLeast, 1, warningConfidence) ||
        (twoSided && differs(cells, atMost, -1, warningConfidence))
      return isWarned ? 'warning' : 'steady'
    },
  })
}

function differs(cells: Float64Array, at: number, sign: 1 | -1, confidence: number): boolean {
  const before = cells[at]!
  const all = cells[atAll]!
  if (before === all) return false
  const share = ((all - before) / before) * (1 / all)
  return sign * (cells[atAll + 1]! - cells[at + 1]!) >= Math.sqrt((share / 2) * Math.log(2 / confidence))
}
