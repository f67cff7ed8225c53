import { cellDetector, checkSetting, type DriftDetector } from './drift-detector.ts'

export interface PageHinkleyOptions {
  /** Values before a drift is told; 30 unless given. */
  readonly minInstances?: number
  /** Deviations from the mean that are let pass, in the unit of the values; 0.005 unless given. */
  readonly delta?: number
  /** How far the sum of deviations may get from its extreme; 50 unless given. */
  readonly threshold?: number
  /** Factor on the sum at each value: what is long ago is forgotten; 0.9999 unless given. */
  readonly alpha?: number
  /** Whether a rise of the mean is a drift, a fall, or both; both unless given. */
  readonly mode?: 'up' | 'down' | 'both'
}

const atCount = 0
const atMean = 1
const atRise = 2
const atFall = 3
const atLowest = 4
const atHighest = 5

/**
 * Sums the deviations of values from their mean so far; a sum that has moved
 * far from its lowest (or highest) point is a change of the mean. No warnings.
 *
 * Source: Page, "Continuous Inspection Schemes", Biometrika 1954, with the
 * forgetting factor of the library River.
 */
export function pageHinkley(options: PageHinkleyOptions = {}): DriftDetector {
  const settings = {
    minInstances: 30,
    delta: 0.005,
    threshold: 50,
    alpha: 1 - 0.0001,
    mode: 'both' as const,
    ...options,
  }
  const { minInstances, delta, threshold, alpha, mode } = settings
  checkSetting('alpha', alpha, 0, 1)
  checkSetting('threshold', threshold, 0, Number.MAX_VALUE)
  return cellDetector({
    name: `page-hinkley ${JSON.stringify(settings)}`,
    width: 6,
    start(cells) {
      cells[atLowest] = Number.POSITIVE_INFINITY
      cells[atHighest] = Number.NEGATIVE_INFINITY
    },
    step(cells, value) {
      const count = cells[atCount]! + 1
      const mean = cells[atMean]! + (1 / count) * (value - cells[atMean]!)
      const rise = alpha * cells[atRise]! + (value - mean) - delta
      const fall = alpha * cells[atFall]! + (value - mean) + delta
      const lowest = Math.min(rise, cells[atLowest]!)
      const highest = Math.max(fall, cells[atHighest]!)
      cells.set([count, mean, rise, fall, lowest, highest])
      if (count < minInstances) return 'steady'
      const hasRisen = mode !== 'down' && rise - lowest > threshold
      const hasFallen = mode !== 'up' && highest - fall > threshold
      return hasRisen || hasFallen ? 'drift' : 'steady'
    },
  })
}
