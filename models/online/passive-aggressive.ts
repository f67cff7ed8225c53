import { featureLimit } from '../predictor.ts'
import { CellState } from './cell-state.ts'
import { dot, type InputScaling, scaledInput } from './input-scaling.ts'
import type { LinearLearner } from './linear-model.ts'

export interface PassiveAggressiveOptions {
  readonly featureCount: number
  /** Aggressiveness, the largest step (mode 1) or its damping (mode 2); 1 unless given. */
  readonly c?: number
  /** 1: the step is cut at `c`; 2: it is damped by `c`. 1 unless given. */
  readonly mode?: 1 | 2
  /** `standard` unless given. */
  readonly scaling?: InputScaling
}

/**
 * Passive-aggressive regression: leaves the weights alone while the error is
 * at most `epsilon` (0.1 unless given), else moves them just enough.
 *
 * Source: Crammer et al., "Online Passive-Aggressive Algorithms", JMLR 2006,
 * PA-I and PA-II.
 */
export function passiveAggressiveRegression(
  options: PassiveAggressiveOptions & { readonly epsilon?: number },
): LinearLearner {
  const { epsilon = 0.1 } = options
  return passiveAggressive(
    `pa-regression(${epsilon})`,
    options,
    (score) => score,
    (score, label) => {
      const error = label - score
      const loss = Math.max(0, Math.abs(error) - epsilon)
      return Math.sign(error) * loss
    },
  )
}

/** Passive-aggressive classification on the hinge loss; predicts the logistic function of the margin, which is no calibrated probability. */
export function passiveAggressiveClassifier(options: PassiveAggressiveOptions): LinearLearner {
  const link = (score: number): number => 1 / (1 + Math.exp(-score))
  return passiveAggressive('pa-classifier', options, link, (score, label) => {
    const sign = label > 0.5 ? 1 : -1
    return sign * Math.max(0, 1 - sign * score)
  })
}

/**
 * The step that both share, for a loss of one's own. `kind` names the loss and
 * is part of the learner's name. `link` makes the answer of the score; `pull`
 * is the loss, with the sign of the direction in which the score has to move.
 * State: [ intercept | scaler | weights ].
 */
export function passiveAggressive(
  kind: string,
  { featureCount, c = 1, mode = 1, scaling = 'standard' }: PassiveAggressiveOptions,
  link: (score: number) => number,
  pull: (score: number, label: number) => number,
): LinearLearner {
  if (!(c > 0)) throw new RangeError(`c must be positive, got ${c}`)
  const input = scaledInput(scaling, featureCount)
  const scalerAt = 1
  const weightsAt = scalerAt + input.width
  const cellCount = weightsAt + featureCount
  const name = `${kind} ${JSON.stringify({ featureCount, c, mode, scaling })}`
  const { values } = input

  return {
    name,
    featureCount,
    laws: { orderInsensitive: false },
    termNames: ['constant', ...Array.from({ length: featureCount }, (_, index) => `feature ${index}`)],
    init: () => new CellState(name, cellCount),
    predict({ cells }, features) {
      input.forPrediction(cells, scalerAt, features)
      return link(cells[0]! + dot(cells, weightsAt, values))
    },
    learn(state, features, label, weight = 1) {
      if (!(label <= featureLimit && label >= -featureLimit && weight > 0 && weight <= featureLimit)) return
      const { cells } = state
      input.forLearning(cells, scalerAt, features)
      let norm = 0
      for (const value of values) if (!Number.isNaN(value)) norm += value * value
      const loss = pull(cells[0]! + dot(cells, weightsAt, values), label)
      // The sign is the direction and the size is the step, cut or damped.
      const size = Math.abs(loss)
      const tau = mode === 1 ? (norm > 0 ? Math.min(c, size / norm) : 0) : size / (norm + 0.5 / c)
      const step = Math.min(1e12, weight * tau) * Math.sign(loss)
      cells[0] = cells[0]! + step
      for (let index = 0; index < featureCount; index++) {
        const value = values[index]!
        if (!Number.isNaN(value)) cells[weightsAt + index] = cells[weightsAt + index]! + step * value
      }
      state.touch(0, cellCount)
    },
    contributions({ cells }, features, into) {
      input.forPrediction(cells, scalerAt, features)
      into[0] = cells[0]!
      for (let index = 0; index < featureCount; index++) {
        const value = values[index]!
        into[1 + index] = Number.isNaN(value) ? 0 : value * cells[weightsAt + index]!
      }
    },
    weights: ({ cells }) => cells.slice(weightsAt, cellCount),
    intercept: ({ cells }) => cells[0]!,
  }
}
