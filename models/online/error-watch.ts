/** Cells of a watch's state. */
export const errorWatchWidth = 4

const atCount = 0
const atMean = 1
const atBest = 2
const atBestDeviation = 3

/** Examples before the rate of errors is believed. */
const minimum = 30

/** Deviations above the best rate at which it is time to prepare, and to act. */
const warningDeviations = 2
const driftDeviations = 3

/**
 * Tells by the mistakes of a classifier that the world has changed: their rate
 * falls while it learns, so a rise well above the lowest rate is a change.
 *
 *     [ examples | rate of mistakes | lowest rate | its deviation ]
 *
 * Source: Gama, Medas, Castillo and Rodrigues, "Learning with Drift
 * Detection", SBIA 2004.
 */
export function watchError(cells: Float64Array, isWrong: boolean): 'steady' | 'warning' | 'drift' {
  const count = cells[atCount]! + 1
  const mean = cells[atMean]! + ((isWrong ? 1 : 0) - cells[atMean]!) / count
  cells[atCount] = count
  cells[atMean] = mean
  if (count < minimum) return 'steady'
  const deviation = Math.sqrt((mean * (1 - mean)) / count)
  if (count === minimum || mean + deviation <= cells[atBest]! + cells[atBestDeviation]!) {
    cells[atBest] = mean
    cells[atBestDeviation] = deviation
  }
  const best = cells[atBest]!
  // A rate of 0 has no deviation; one mistake among the examples so far stands in for it.
  const unit = Math.max(cells[atBestDeviation]!, 1 / count)
  if (mean + deviation > best + driftDeviations * unit) return 'drift'
  return mean + deviation > best + warningDeviations * unit ? 'warning' : 'steady'
}

/** Share of examples that were right since the watch began; 1 before the first. */
export const shareRight = (cells: Float64Array): number => 1 - cells[atMean]!
