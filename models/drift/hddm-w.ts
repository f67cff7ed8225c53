import { cellDetector, checkSetting, type DriftDetector } from './drift-detector.ts'
import type { HddmOptions } from './hddm-a.ts'

export interface HddmWeightedOptions extends HddmOptions {
  /** Weight of the latest value; 0.05 unless given. */
  readonly lambda?: number
}

/** Samples of [ mean | 1 once it has a value | sum of squared weights ]. */
const sampleWidth = 3
const atAll = 0
const atBeforeRise = 3
const atSinceRise = 6
const atBeforeFall = 9
const atSinceFall = 12
const atLowest = 15
const atHighest = 16

/**
 * As `hddmA` with exponentially weighted means, which see gradual changes, by
 * McDiarmid's bound. A mean of 0 is replaced by the next value rather than
 * weighed against it, as in MOA and River.
 *
 * Source: Frías-Blanco et al., "Online and Non-Parametric Drift Detection
 * Methods Based on Hoeffding's Bounds", IEEE TKDE 2015, method W.
 */
export function hddmW(options: HddmWeightedOptions = {}): DriftDetector {
  const settings = {
    driftConfidence: 0.001,
    warningConfidence: 0.005,
    lambda: 0.05,
    twoSided: false,
    ...options,
  }
  const { driftConfidence, warningConfidence, lambda, twoSided } = settings
  checkSetting('driftConfidence', driftConfidence, Number.MIN_VALUE, 1)
  checkSetting('warningConfidence', warningConfidence, Number.MIN_VALUE, 1)
  checkSetting('lambda', lambda, 0, 1)

  function add(cells: Float64Array, at: number, value: number): void {
    const mean = cells[at]!
    cells[at] = mean === 0 ? value : lambda * value + (1 - lambda) * mean
    cells[at + 1] = 1
    cells[at + 2] = lambda * lambda + (1 - lambda) ** 2 * cells[at + 2]!
  }

  return cellDetector({
    name: `hddm-w ${JSON.stringify(settings)}`,
    width: 17,
    start(cells) {
      for (let at = 0; at < atLowest; at += sampleWidth) cells[at + 2] = 1
      cells[atLowest] = Number.POSITIVE_INFINITY
      cells[atHighest] = Number.NEGATIVE_INFINITY
    },
    step(cells, value) {
      add(cells, atAll, value)
      const mean = cells[atAll]!
      const bound = boundOf(cells[atAll + 2]!, driftConfidence)
      if (mean + bound < cells[atLowest]!) {
        cells[atLowest] = mean + bound
        cut(cells, atBeforeRise)
      } else add(cells, atSinceRise, value)
      if (mean - bound > cells[atHighest]!) {
        cells[atHighest] = mean - bound
        cut(cells, atBeforeFall)
      } else add(cells, atSinceFall, value)
      const hasChanged = (confidence: number) =>
        isAbove(cells, atSinceRise, atBeforeRise, confidence) ||
        (twoSided && isAbove(cells, atBeforeFall, atSinceFall, confidence))
      return hasChanged(driftConfidence) ? 'drift' : hasChanged(warningConfidence) ? 'warning' : 'steady'
    },
  })
}

const boundOf = (squares: number, confidence: number): number =>
  Math.sqrt((squares * Math.log(1 / confidence)) / 2)

/** All so far becomes the sample before the cut; the one behind it is empty. */
function cut(cells: Float64Array, atBefore: number): void {
  cells.copyWithin(atBefore, atAll, atAll + sampleWidth)
  const since = atBefore + sampleWidth
  cells.set([0, 0, 1], since)
}

function isAbove(cells: Float64Array, high: number, low: number, confidence: number): boolean {
  if (cells[high + 1] === 0 || cells[low + 1] === 0) return false
  return cells[high]! - cells[low]! > boundOf(cells[high + 2]! + cells[low + 2]!, confidence)
}
