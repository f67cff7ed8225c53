import type { Metric } from '../metrics/metric.ts'
import { SeededGenerator } from '../policy/seeded-generator.ts'

/** Predictions of several scorers for the same labelled rows. */
export interface ScoredRows {
  readonly labels: Float64Array
  /** By scorer; each as long as `labels`. */
  readonly predictions: readonly Float64Array[]
}

export interface BootstrapOptions {
  /** Resamples. */
  readonly resamples: number
  /** Share of the resamples that the interval holds, in (0, 1). */
  readonly confidence: number
  readonly seed: number
}

export interface Interval {
  readonly lower: number
  readonly upper: number
}

/** Of each scorer by metric; `difference` is the scorer's value less the first scorer's, on the same resamples. */
export interface BootstrapIntervals {
  readonly values: readonly (readonly Interval[])[]
  readonly differences: readonly (readonly Interval[])[]
}

/**
 * Percentile intervals: the rows are drawn anew with replacement, as many as
 * there are, and every metric of every scorer is taken of the same draw, so
 * that differences of scorers have the interval of the difference and not of
 * two chances. A metric that a draw leaves undefined is left out of it. The
 * rows are taken to be independent of one another.
 *
 * Source: B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap",
 * 1993, section 13.3.
 */
export function bootstrapIntervals(
  { labels, predictions }: ScoredRows,
  metrics: readonly Metric[],
  { resamples, confidence, seed }: BootstrapOptions,
): BootstrapIntervals {
  if (!(confidence > 0 && confidence < 1)) {
    throw new RangeError(`confidence must lie between 0 and 1, got ${confidence}`)
  }
  if (!(Number.isInteger(resamples) && resamples >= 1)) {
    throw new RangeError(`resamples must be a whole number from 1, got ${resamples}`)
  }
  const rows = labels.length
  const generator = SeededGenerator.of(seed)
  const weights = new Float64Array(rows)
  const values = predictions.map(() => metrics.map((): number[] => []))
  const differences = predictions.map(() => metrics.map((): number[] => []))
  for (let draw = 0; draw < resamples; draw++) {
    weights.fill(0)
    for (let row = 0; row < rows; row++) weights[generator.below(rows)]!++
    for (const [metric, { start }] of metrics.entries()) {
      const drawn = predictions.map((scores) => {
        const fold = start()
        for (let row = 0; row < rows; row++) {
          if (weights[row]! > 0) fold.add(labels[row]!, scores[row]!, weights[row]!)
        }
        return fold.value()
      })
      for (const [scorer, value] of drawn.entries()) {
        if (Number.isNaN(value)) continue
        values[scorer]![metric]!.push(value)
        if (!Number.isNaN(drawn[0]!)) differences[scorer]![metric]!.push(value - drawn[0]!)
      }
    }
  }
  const intervals = (drawn: readonly number[][][]) =>
    drawn.map((byMetric) => byMetric.map((list) => intervalOf(list, confidence)))
  return { values: intervals(values), differences: intervals(differences) }
}

function intervalOf(drawn: number[], confidence: number): Interval {
  const sorted = drawn.sort((a, b) => a - b)
  const tail = (1 - confidence) / 2
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
  return { lower: at(tail), upper: at(1 - tail) }
}
