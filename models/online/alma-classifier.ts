import type { Learner } from '../learner.ts'
import { featureLimit } from '../predictor.ts'
import { CellState } from './cell-state.ts'
import { dot, type InputScaling, scaledInput } from './input-scaling.ts'

export interface AlmaOptions {
  readonly featureCount: number
  /** Order of the norm, from 2. */
  readonly p?: number
  /** 1 - alpha is the share of the largest margin that is good enough; 0.9 unless given. */
  readonly alpha?: number
  /** 1 / alpha unless given. */
  readonly b?: number
  /** The square root of 2 unless given. */
  readonly c?: number
  /** `standard` unless given. */
  readonly scaling?: InputScaling
}

/**
 * Approximate large margin classifier: learns only from examples within its
 * margin, keeps the weights inside of the unit ball. Predicts the logistic
 * function of the score, which is no calibrated probability.
 *
 * Source: Gentile, "A New Approximate Maximal Margin Classification
 * Algorithm", JMLR 2001. State: [ k | scaler | weights ].
 */
export function almaClassifier({
  featureCount,
  p = 2,
  alpha = 0.9,
  b = 1 / alpha,
  c = Math.SQRT2,
  scaling = 'standard',
}: AlmaOptions): Learner<CellState> {
  const input = scaledInput(scaling, featureCount)
  const scalerAt = 1
  const weightsAt = scalerAt + input.width
  const cellCount = weightsAt + featureCount
  const name = `alma ${JSON.stringify({ featureCount, p, alpha, b, c, scaling })}`
  const { values } = input
  return {
    name,
    featureCount,
    laws: { orderInsensitive: false },
    init: () => new CellState(name, cellCount),
    predict({ cells }, features) {
      input.forPrediction(cells, scalerAt, features)
      return 1 / (1 + Math.exp(-dot(cells, weightsAt, values)))
    },
    learn(state, features, label, weight = 1) {
      if (!(label <= featureLimit && label >= -featureLimit && weight > 0 && weight <= featureLimit)) return
      const { cells } = state
      state.touch(0, cellCount)
      input.forLearning(cells, scalerAt, features)
      const mistakes = cells[0]! + 1
      const sign = label > 0.5 ? 1 : -1
      const margin = (b * Math.sqrt(p - 1)) / Math.sqrt(mistakes)
      if (sign * dot(cells, weightsAt, values) > (1 - alpha) * margin) return
      const step = (c / Math.sqrt((p - 1) * mistakes)) * sign * Math.min(weight, 1e12)
      let norm = 0
      for (let index = 0; index < featureCount; index++) {
        const value = values[index]!
        if (!Number.isNaN(value)) cells[weightsAt + index] = cells[weightsAt + index]! + step * value
        norm += Math.abs(cells[weightsAt + index]!) ** p
      }
      norm = norm ** (1 / p)
      if (norm > 1) {
        for (let index = 0; index < featureCount; index++) {
          cells[weightsAt + index] = cells[weightsAt + index]! / norm
        }
      }
      cells[0] = mistakes
    },
  }
}
