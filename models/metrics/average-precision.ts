import { binnedByOdds } from './auc.ts'
import { ascending, exampleMetric, type Metric } from './metric.ts'

/**
 * Area under the precision-recall curve as a sum of steps: the mean precision
 * at the score of each positive; examples of one score are taken together.
 * Undefined without positives. Labels above one half are positive.
 *
 * Source: Zhu, "Recall, Precision and Average Precision", 2004.
 */
export const averagePrecision: Metric = exampleMetric({
  name: 'average-precision',
  better: 'higher',
  value({ labels, predictions, weights }) {
    const order = ascending(predictions)
    let positives = 0
    let taken = 0
    let area = 0
    for (let end = order.length; end > 0; ) {
      const score = predictions[order[end - 1]!]!
      if (Number.isNaN(score)) return Number.NaN
      let found = 0
      for (; end > 0 && predictions[order[end - 1]!] === score; end--) {
        const example = order[end - 1]!
        taken += weights[example]!
        if (labels[example]! > 0.5) found += weights[example]!
      }
      positives += found
      if (found > 0) area += found * (positives / taken)
    }
    return area / positives
  },
})

/**
 * The same in fixed memory, for probabilities: those of one bin of log odds
 * count as tied, as with `binnedAuc`. Close where the scores spread over many
 * bins; of scores that lie in one bin it is the share of the positives.
 */
export const binnedAveragePrecision = (bins = 4096): Metric =>
  binnedByOdds('average-precision', bins, (cells) => {
    let positives = 0
    let taken = 0
    let area = 0
    for (let at = cells.length - 2; at >= 0; at -= 2) {
      const found = cells[at + 1]!
      taken += cells[at]! + found
      positives += found
      // A weight that is NaN must show in the value.
      if (found !== 0 || Number.isNaN(taken)) area += found * (positives / taken)
    }
    return area / positives
  })
