import { ascending, cellMetric, type Examples, exampleMetric, type Metric } from './metric.ts'

/**
 * Area under the ROC curve: the chance that a random positive has a higher
 * score than a random negative, a tie counting one half. Exact, and the same
 * for every order of the examples; keeps them all. Undefined while one of the
 * classes has no weight. Labels above one half are positive.
 *
 * Source: Hanley and McNeil, "The meaning and use of the area under a receiver
 * operating characteristic (ROC) curve", Radiology 1982.
 */
export const exactAuc: Metric = exampleMetric({ name: 'auc', better: 'higher', value: aucOf })

export function aucOf({ labels, predictions, weights }: Examples): number {
  const order = ascending(predictions)
  let positives = 0
  let negatives = 0
  let wins = 0
  for (let start = 0; start < order.length; ) {
    const score = predictions[order[start]!]!
    if (Number.isNaN(score)) return Number.NaN
    let tiedPositives = 0
    let tiedNegatives = 0
    let end = start
    for (; end < order.length && predictions[order[end]!] === score; end++) {
      const example = order[end]!
      if (labels[example]! > 0.5) tiedPositives += weights[example]!
      else tiedNegatives += weights[example]!
    }
    wins += tiedPositives * (negatives + tiedNegatives / 2)
    positives += tiedPositives
    negatives += tiedNegatives
    start = end
  }
  return wins / (positives * negatives)
}

/** An AUC in bounded memory, with how far it can be from the exact one. */
export interface BinnedAuc extends Metric {
  /** The exact AUC lies within this distance of the fold's value. */
  errorBound(saved: Float64Array): number
}

/** Log odds outside of this share the outermost bins. */
const oddsLimit = 16

/**
 * AUC of probabilities over any number of examples in fixed memory: two
 * doubles a bin. Bins are equal in log odds, from -16 to 16, so that rare
 * events (p near 0) are told apart as well as likely ones. Examples of one bin
 * count as tied; what that can cost is `errorBound`, below 0.001 with the
 * default for scores that spread over a few units of log odds.
 */
export function binnedAuc(bins = 4096): BinnedAuc {
  const metric = binnedByOdds('auc', bins, (cells) => binnedValue(cells).value)
  return { ...metric, errorBound: (saved) => binnedValue(saved).errorBound }
}

/**
 * A metric of ranked probabilities in fixed memory: the weight of the
 * negatives and that of the positives of each bin, ascending, `[2 * bins]`.
 */
export function binnedByOdds(name: string, bins: number, value: (cells: Float64Array) => number): Metric {
  if (!(Number.isInteger(bins) && bins >= 2)) throw new RangeError(`bins must be at least 2, got ${bins}`)
  const scale = bins / (2 * oddsLimit)
  return cellMetric({
    name: `${name}(bins=${bins})`,
    better: 'higher',
    width: 2 * bins,
    add(cells, label, prediction, weight) {
      const odds = Math.log(prediction / (1 - prediction))
      const bin = Math.min(bins - 1, Math.max(0, Math.floor((odds + oddsLimit) * scale)))
      // NaN must show: it lands in every later value.
      const at = Number.isNaN(odds) ? 0 : 2 * bin + (label > 0.5 ? 1 : 0)
      cells[at] = cells[at]! + (Number.isNaN(odds) ? Number.NaN : weight)
    },
    value,
  })
}

function binnedValue(cells: Float64Array): { value: number; errorBound: number } {
  let positives = 0
  let negatives = 0
  let wins = 0
  let tied = 0
  for (let at = 0; at < cells.length; at += 2) {
    const binNegatives = cells[at]!
    const binPositives = cells[at + 1]!
    wins += binPositives * (negatives + binNegatives / 2)
    tied += (binPositives * binNegatives) / 2
    negatives += binNegatives
    positives += binPositives
  }
  const pairs = positives * negatives
  return { value: wins / pairs, errorBound: tied / pairs }
}
