import { cellMetric, type Metric } from './metric.ts'

const defaultClip = 1e-15

/**
 * Mean of -ln p(label), in nats; probabilities are clipped to
 * `[clip, 1 - clip]`, so that one certain mistake costs 34.5 and not infinity.
 * The label may be a probability too.
 */
export function logLoss(clip: number = defaultClip): Metric {
  return cellMetric({
    name: clip === defaultClip ? 'log-loss' : `log-loss(clip=${clip})`,
    better: 'lower',
    width: 2,
    add(cells, label, prediction, weight) {
      // Each side is clipped by itself: 1 - (1 - clip) is not clip in floating point.
      const likely = Math.min(1 - clip, Math.max(clip, prediction))
      const unlikely = Math.min(1 - clip, Math.max(clip, 1 - prediction))
      const loss =
        label === 1
          ? -Math.log(likely)
          : label === 0
            ? -Math.log(unlikely)
            : -label * Math.log(likely) - (1 - label) * Math.log(unlikely)
      cells[0] = cells[0]! + weight * loss
      cells[1] = cells[1]! + weight
    },
    value: (cells) => cells[0]! / cells[1]!,
  })
}

/** Mean squared difference of probability and label. Source: Brier, Monthly Weather Review, 1950. */
export const brierScore: Metric = cellMetric({
  name: 'brier',
  better: 'lower',
  width: 2,
  add(cells, label, prediction, weight) {
    cells[0] = cells[0]! + weight * (prediction - label) * (prediction - label)
    cells[1] = cells[1]! + weight
  },
  value: (cells) => cells[0]! / cells[1]!,
})

/**
 * Mean prediction over mean label: 1 for a model that is right on average,
 * 1.1 for one that promises a tenth too much.
 *
 * Source: He et al., "Practical Lessons from Predicting Clicks on Ads at
 * Facebook", ADKDD 2014, section 3.
 */
export const calibrationRatio: Metric = cellMetric({
  name: 'calibration-ratio',
  better: 'one',
  width: 2,
  add(cells, label, prediction, weight) {
    cells[0] = cells[0]! + weight * prediction
    cells[1] = cells[1]! + weight * label
  },
  value: (cells) => cells[0]! / cells[1]!,
})

/**
 * Log loss relative to that of always predicting the overall rate: 1 is no
 * better than the mean, 0 is perfect. Source: He et al. 2014, as above.
 */
export const normalizedEntropy: Metric = cellMetric({
  name: 'normalized-entropy',
  better: 'lower',
  width: 3,
  add(cells, label, prediction, weight) {
    const p = Math.min(1 - defaultClip, Math.max(defaultClip, prediction))
    cells[0] = cells[0]! - weight * (label * Math.log(p) + (1 - label) * Math.log(1 - p))
    cells[1] = cells[1]! + weight * label
    cells[2] = cells[2]! + weight
  },
  value([loss = 0, positives = 0, total = 0]) {
    const rate = positives / total
    return loss / total / -(rate * Math.log(rate) + (1 - rate) * Math.log(1 - rate))
  },
})
