import { ascending, cellMetric, exampleMetric, type Metric } from './metric.ts'

/** One bin of a calibration curve that holds examples. */
export interface CalibrationPoint {
  readonly meanPrediction: number
  readonly meanLabel: number
  /** Sum of the weights. */
  readonly weight: number
}

/** Expected calibration error over bins of equal width, in bounded memory, with its curve. */
export interface CalibrationMetric extends Metric {
  /** Non-empty bins, lowest predictions first. */
  curve(saved: Float64Array): CalibrationPoint[]
}

/**
 * Expected calibration error: the mean distance of predicted and observed
 * rate, over `bins` bins of equal width in `[0, 1]`, weighted by their size. A
 * prediction on an edge belongs to the bin above, 1 to the last.
 *
 * Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated
 * Probabilities Using Bayesian Binning", AAAI 2015.
 */
export function calibrationError(bins = 10): CalibrationMetric {
  if (!(Number.isInteger(bins) && bins >= 1)) throw new RangeError(`bins must be at least 1, got ${bins}`)
  const metric = cellMetric({
    name: `calibration-error(bins=${bins})`,
    better: 'lower',
    width: 3 * bins,
    add(cells, label, prediction, weight) {
      const at =
        3 * (Number.isNaN(prediction) ? 0 : Math.min(bins - 1, Math.max(0, Math.floor(prediction * bins))))
      cells[at] = cells[at]! + weight * prediction
      cells[at + 1] = cells[at + 1]! + weight * label
      cells[at + 2] = cells[at + 2]! + weight
    },
    value: (cells) => expectedError(curveOf(cells)),
  })
  return { ...metric, curve: curveOf }
}

/** The mean distance of predicted and observed rate among the bins of a curve, by their weight. */
export function expectedError(curve: readonly CalibrationPoint[]): number {
  const total = curve.reduce((sum, { weight }) => sum + weight, 0)
  return curve.reduce((sum, point) => sum + (point.weight / total) * distance(point), 0) / (total > 0 ? 1 : 0)
}

/**
 * The calibration curve over `bins` groups of equal size, by ascending
 * prediction, equal ones in their given order; the first groups take the rest
 * of an uneven division.
 */
export function equalMassCurve(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  bins: number,
): CalibrationPoint[] {
  const scores = Float64Array.from(predictions)
  const order = ascending(scores)
  const points: CalibrationPoint[] = []
  let start = 0
  for (let bin = 0; bin < bins; bin++) {
    const size = Math.floor(order.length / bins) + (bin < order.length % bins ? 1 : 0)
    let predicted = 0
    let observed = 0
    for (const example of order.subarray(start, start + size)) {
      predicted += scores[example]!
      observed += labels[example]!
    }
    if (size > 0) points.push({ meanPrediction: predicted / size, meanLabel: observed / size, weight: size })
    start += size
  }
  return points
}

/** Expected calibration error over groups of equal size; exact, keeps every example. */
export const equalMassCalibrationError = (bins = 10): Metric =>
  exampleMetric({
    name: `calibration-error(groups=${bins})`,
    better: 'lower',
    value: ({ labels, predictions }) => expectedError(equalMassCurve(labels, predictions, bins)),
  })

function curveOf(cells: Float64Array): CalibrationPoint[] {
  const points: CalibrationPoint[] = []
  for (let at = 0; at < cells.length; at += 3) {
    const weight = cells[at + 2]!
    if (weight === 0) continue
    points.push({ meanPrediction: cells[at]! / weight, meanLabel: cells[at + 1]! / weight, weight })
  }
  return points
}

const distance = ({ meanPrediction, meanLabel }: CalibrationPoint): number =>
  Math.abs(meanPrediction - meanLabel)

/** The largest distance of predicted and observed rate among the bins of a curve; NaN without one. */
export const largestError = (curve: readonly CalibrationPoint[]): number =>
  curve.length === 0 ? Number.NaN : Math.max(...curve.map(distance))

/**
 * The probability in the world of a model that learned from a sample in which
 * only the share `kept` of the negatives was left.
 *
 * Source: He et al., "Practical Lessons from Predicting Clicks on Ads at
 * Facebook", ADKDD 2014, section 6.3.
 */
export const undoDownsampling = (probability: number, kept: number): number =>
  probability / (probability + (1 - probability) / kept)
