import type { ExplainableLearner } from '../learner.ts'
import { featureLimit } from '../predictor.ts'
import { CellState } from './cell-state.ts'
import { dot, type InputScaling, scaledInput } from './input-scaling.ts'
import { type VectorOptimizerOptions, vectorOptimizer } from './vector-optimizer.ts'

export interface LinearOptions {
  readonly featureCount: number
  /** Unless given: SGD of rate 0.01. */
  readonly optimizer?: VectorOptimizerOptions
  /** Step size of the intercept, which is plain SGD under every optimizer; 0.01 unless given, 0 for none. */
  readonly interceptRate?: number
  /** Decay of the weights toward 0, added to their gradient; 0 unless given. */
  readonly l2?: number
  /** `standard` unless given. */
  readonly scaling?: InputScaling
}

/**
 * What a regression suffers for an error e = prediction - label: `squared` e^2,
 * `absolute` |e|, `quantile` the pinball loss, so that the answer is that
 * quantile, `huber` squared up to `delta` and straight beyond.
 */
export type RegressionLoss =
  | { readonly kind: 'squared' }
  | { readonly kind: 'absolute' }
  | { readonly kind: 'quantile'; readonly quantile: number }
  | { readonly kind: 'huber'; readonly delta: number }

/** A linear model whose weights can be read. */
export interface LinearLearner extends ExplainableLearner<CellState> {
  /** Weight of each feature, as the model sees it: of the standardised one where it scales. A copy. */
  weights(state: CellState): Float64Array
  intercept(state: CellState): number
}

/** A wrong score beyond this counts as fully wrong; the slope is then within 1.6e-8 of 1, and River, whose figures we meet, rounds it so. */
const saturation = 18

/** Largest slope of a loss that is followed. */
const slopeLimit = 1e12

/**
 * Binary logistic regression over dense features; predicts P(label = 1).
 * Learning takes one step on the log loss.
 *
 * Source: Bottou, "Large-Scale Machine Learning with Stochastic Gradient
 * Descent", COMPSTAT 2010, section 2.
 */
export function logisticRegression(options: LinearOptions): LinearLearner {
  const link = (score: number): number => 1 / (1 + Math.exp(-score))
  return linearModel('logistic', options, link, (score, label) => {
    if (label === 0 && score > saturation) return 1
    if (label === 1 && score < -saturation) return -1
    return link(score) - label
  })
}

/** Linear regression over dense features; the squared loss unless given. */
export function linearRegression(options: LinearOptions & { readonly loss?: RegressionLoss }): LinearLearner {
  const loss = options.loss ?? { kind: 'squared' }
  return linearModel(`linear ${JSON.stringify(loss)}`, options, (score) => score, slopeOf(loss))
}

function slopeOf(loss: RegressionLoss): (score: number, label: number) => number {
  switch (loss.kind) {
    case 'squared':
      return (score, label) => 2 * (score - label)
    case 'absolute':
      return (score, label) => Math.sign(score - label)
    case 'quantile':
      return (score, label) => (score > label ? 1 - loss.quantile : score < label ? -loss.quantile : 0)
    case 'huber':
      return (score, label) => Math.max(-loss.delta, Math.min(loss.delta, score - label))
  }
}

/** State: [ steps | intercept | scaler | weights | memory of the optimizer ]. */
function linearModel(
  kind: string,
  {
    featureCount,
    optimizer: optimizerOptions = { kind: 'sgd', rate: 0.01 },
    interceptRate = 0.01,
    l2 = 0,
    scaling = 'standard',
  }: LinearOptions,
  link: (score: number) => number,
  slope: (score: number, label: number) => number,
): LinearLearner {
  const input = scaledInput(scaling, featureCount)
  const optimizer = vectorOptimizer(optimizerOptions)
  const scalerAt = 2
  const weightsAt = scalerAt + input.width
  const memoryAt = weightsAt + featureCount
  const cellCount = memoryAt + featureCount * optimizer.memory
  const name = `${kind} ${JSON.stringify({ featureCount, scaling, interceptRate, l2 })} ${optimizer.id}`
  const gradients = new Float64Array(featureCount)
  const { values } = input

  /** The weights' gradient is taken ahead of where they are, for Nesterov's method. */
  function scoreAhead(cells: Float64Array): number {
    let sum = 0
    for (let index = 0; index < featureCount; index++) {
      const value = values[index]!
      const ahead = cells[weightsAt + index]! - optimizer.lookAhead * cells[memoryAt + index]!
      if (!Number.isNaN(value)) sum += ahead * value
    }
    return cells[1]! + sum
  }

  return {
    name,
    featureCount,
    laws: { orderInsensitive: false },
    termNames: ['constant', ...Array.from({ length: featureCount }, (_, index) => `feature ${index}`)],
    init: () => new CellState(name, cellCount),
    predict({ cells }, features) {
      input.forPrediction(cells, scalerAt, features)
      return link(cells[1]! + dot(cells, weightsAt, values))
    },
    learn(state, features, label, weight = 1) {
      if (!(label <= featureLimit && label >= -featureLimit && weight > 0 && weight <= featureLimit)) return
      const { cells } = state
      input.forLearning(cells, scalerAt, features)
      const score = optimizer.lookAhead > 0 ? scoreAhead(cells) : cells[1]! + dot(cells, weightsAt, values)
      const step = Math.min(slopeLimit, Math.max(-slopeLimit, weight * slope(score, label)))
      for (let index = 0; index < featureCount; index++) {
        gradients[index] = step * values[index]! + l2 * cells[weightsAt + index]!
      }
      cells[1] = cells[1]! - interceptRate * step
      optimizer.step(cells, weightsAt, memoryAt, gradients, cells[0]!)
      cells[0] = cells[0]! + 1
      state.touch(0, cellCount)
    },
    contributions({ cells }, features, into) {
      input.forPrediction(cells, scalerAt, features)
      into[0] = cells[1]!
      for (let index = 0; index < featureCount; index++) {
        const value = values[index]!
        into[1 + index] = Number.isNaN(value) ? 0 : value * cells[weightsAt + index]!
      }
    },
    weights: ({ cells }) => cells.slice(weightsAt, memoryAt),
    intercept: ({ cells }) => cells[1]!,
  }
}
