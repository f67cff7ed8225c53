import { featureLimit } from '../predictor.ts'
import { standardScaler } from './standard-scaler.ts'

/**
 * How a model sees its features.
 *
 * * `none`: as they are.
 * * `standard`: standardised by the examples learnt before; learning first
 *   takes the features into the statistics.
 * * `standard-with-self`: the same, but a prediction too counts the features
 *   that it is for. Nothing is remembered of them until they are learnt, so
 *   predicting stays pure.
 */
export type InputScaling = 'none' | 'standard' | 'standard-with-self'

/** The scaled features of the example in hand; NaN where missing. */
export interface ScaledInput {
  /** Cells of the state. */
  readonly width: number
  /** Shape `[features]`, overwritten by each of the calls below. */
  readonly values: Float64Array
  forPrediction(cells: Float64Array, at: number, features: Float64Array): void
  /** Takes the features into the statistics first. */
  forLearning(cells: Float64Array, at: number, features: Float64Array): void
}

export function scaledInput(scaling: InputScaling, featureCount: number): ScaledInput {
  if (!(Number.isInteger(featureCount) && featureCount > 0)) {
    throw new RangeError(`featureCount must be a whole number above 0, got ${featureCount}`)
  }
  const values = new Float64Array(featureCount)
  if (scaling === 'none') {
    const copy = (_cells: Float64Array, _at: number, features: Float64Array): void => {
      for (let index = 0; index < featureCount; index++) {
        const value = features[index]!
        values[index] = value <= featureLimit && value >= -featureLimit ? value : Number.NaN
      }
    }
    return { width: 0, values, forPrediction: copy, forLearning: copy }
  }
  const scaler = standardScaler(Array.from({ length: featureCount }, (_, index) => index))
  return {
    width: scaler.width,
    values,
    forPrediction(cells, at, features) {
      if (scaling === 'standard') scaler.transform(cells, at, features, values)
      else scaler.transformWithSelf(cells, at, features, values)
    },
    forLearning(cells, at, features) {
      scaler.learn(cells, at, features)
      scaler.transform(cells, at, features, values)
    },
  }
}

/** The inner product of weights and values; a missing value adds nothing. */
export function dot(cells: Float64Array, weightsAt: number, values: Float64Array): number {
  let sum = 0
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    if (!Number.isNaN(value)) sum += cells[weightsAt + index]! * value
  }
  return sum
}
