import { ascending, cellMetric, exampleMetric, type Metric } from './metric.ts'

/** A mean over the examples of `loss`, passed through `finish` at the end. */
function meanOf(
  name: string,
  loss: (label: number, prediction: number) => number,
  finish: (mean: number) => number = (mean) => mean,
): Metric {
  return cellMetric({
    name,
    better: 'lower',
    width: 2,
    add(cells, label, prediction, weight) {
      cells[0] = cells[0]! + weight * loss(label, prediction)
      cells[1] = cells[1]! + weight
    },
    value: (cells) => finish(cells[0]! / cells[1]!),
  })
}

/** Mean absolute error, in the label's unit. */
export const meanAbsoluteError: Metric = meanOf('mae', (label, prediction) => Math.abs(label - prediction))

/** Mean squared error. */
export const meanSquaredError: Metric = meanOf('mse', (label, prediction) => (label - prediction) ** 2)

/** Root of the mean squared error, in the label's unit. */
export const rootMeanSquaredError: Metric = meanOf(
  'rmse',
  (label, prediction) => (label - prediction) ** 2,
  Math.sqrt,
)

/** Mean squared difference of ln(1 + x); labels and predictions above -1. */
export const meanSquaredLogError: Metric = meanOf(
  'msle',
  (label, prediction) => (Math.log1p(label) - Math.log1p(prediction)) ** 2,
)

/** Mean of |label - prediction| / |label|, a share and not per cent; a label of 0 counts as 2^-52. */
export const meanAbsolutePercentageError: Metric = meanOf(
  'mape',
  (label, prediction) => Math.abs(label - prediction) / Math.max(Math.abs(label), Number.EPSILON),
)

/** Mean of 2 |label - prediction| / (|label| + |prediction|), from 0 to 2; 0 where both are 0. */
export const symmetricPercentageError: Metric = meanOf('smape', (label, prediction) =>
  label === 0 && prediction === 0
    ? 0
    : (2 * Math.abs(label - prediction)) / (Math.abs(label) + Math.abs(prediction)),
)

/**
 * Mean pinball loss of a prediction of the `quantile`: an undershoot costs
 * `quantile` a unit, an overshoot `1 - quantile`. At one half it is half the
 * mean absolute error. Source: Koenker and Bassett, Econometrica 1978.
 */
export function quantileLoss(quantile: number): Metric {
  if (!(quantile > 0 && quantile < 1))
    throw new RangeError(`a quantile lies between 0 and 1, got ${quantile}`)
  return meanOf(`quantile-loss(${quantile})`, (label, prediction) =>
    label >= prediction ? quantile * (label - prediction) : (1 - quantile) * (prediction - label),
  )
}

/**
 * Share of the label's variance that is explained: 1 is perfect, 0 is the
 * mean's. Undefined for labels that are all equal, and for fewer than two.
 *
 * Cells: weight, mean of the labels, their squared deviations, squared errors.
 * Merging follows Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
 * Algorithm for Computing Sample Variances", 1979.
 */
export const r2: Metric = cellMetric({
  name: 'r2',
  better: 'higher',
  width: 4,
  add(cells, label, prediction, weight) {
    if (weight === 0) return
    const total = cells[0]! + weight
    const before = cells[1]!
    const after = before + (weight / total) * (label - before)
    cells[0] = total
    cells[1] = after
    cells[2] = cells[2]! + weight * (label - before) * (label - after)
    cells[3] = cells[3]! + weight * (label - prediction) ** 2
  },
  value: (cells) => (cells[2]! > 0 ? 1 - cells[3]! / cells[2]! : Number.NaN),
  merge(into, from) {
    const total = into[0]! + from[0]!
    if (total === 0) return
    const gap = from[1]! - into[1]!
    into[2] = into[2]! + from[2]! + (gap * gap * into[0]! * from[0]!) / total
    into[1] = into[1]! + (gap * from[0]!) / total
    into[0] = total
    into[3] = into[3]! + from[3]!
  },
})

/** Median of |label - prediction|; the mean of the middle two of an even number. Exact, keeps every example; ignores weights. */
export const medianAbsoluteError: Metric = exampleMetric({
  name: 'median-ae',
  better: 'lower',
  value({ labels, predictions }) {
    const errors = labels.map((label, index) => Math.abs(label - predictions[index]!))
    if (errors.some(Number.isNaN)) return Number.NaN
    const order = ascending(errors)
    const half = order.length >>> 1
    const upper = errors[order[half]!]!
    return order.length % 2 === 1 ? upper : (errors[order[half - 1]!]! + upper) / 2
  },
})
