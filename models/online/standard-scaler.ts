import { featureLimit } from '../predictor.ts'

/**
 * Mean and population variance of each feature, updated one example at a
 * time, as part of a model's state: three cells a feature.
 *
 *     [ mean of each feature | variance of each | number of values of each ]
 *
 * Source: Welford, "Note on a Method for Calculating Corrected Sums of Squares
 * and Products", Technometrics 1962.
 */
export interface StandardScaler {
  /** Cells of the state. */
  readonly width: number
  learn(cells: Float64Array, at: number, features: Float64Array): void
  /**
   * Writes (value - mean) / standard deviation to `into`: 0 where the variance
   * is 0 (so before the second value), NaN where the value is missing.
   */
  transform(cells: Float64Array, at: number, features: Float64Array, into: Float64Array): void
  /** The same, with the statistics as they would be if these features had been learnt. */
  transformWithSelf(cells: Float64Array, at: number, features: Float64Array, into: Float64Array): void
}

/** A scaler of the features at `columns`; `into` gets them in the order of `columns`. */
export function standardScaler(columns: readonly number[]): StandardScaler {
  const count = columns.length
  const source = Int32Array.from(columns)
  return {
    width: 3 * count,
    learn(cells, at, features) {
      for (let index = 0; index < count; index++) {
        const value = features[source[index]!]!
        if (!(value <= featureLimit && value >= -featureLimit)) continue
        const mean = at + index
        const variance = mean + count
        const seen = variance + count
        const total = cells[seen]! + 1
        const before = cells[mean]!
        const after = before + (value - before) / total
        cells[seen] = total
        cells[mean] = after
        cells[variance] = cells[variance]! + ((value - before) * (value - after) - cells[variance]!) / total
      }
    },
    transform(cells, at, features, into) {
      for (let index = 0; index < count; index++) {
        const value = features[source[index]!]!
        if (value <= featureLimit && value >= -featureLimit) {
          const variance = cells[at + index + count]!
          into[index] = variance > 0 ? (value - cells[at + index]!) / Math.sqrt(variance) : 0
        } else {
          into[index] = Number.NaN
        }
      }
    },
    transformWithSelf(cells, at, features, into) {
      for (let index = 0; index < count; index++) {
        const value = features[source[index]!]!
        if (value <= featureLimit && value >= -featureLimit) {
          const total = cells[at + index + 2 * count]! + 1
          const before = cells[at + index]!
          const mean = before + (value - before) / total
          const old = cells[at + index + count]!
          const variance = old + ((value - before) * (value - mean) - old) / total
          into[index] = variance > 0 ? (value - mean) / Math.sqrt(variance) : 0
        } else {
          into[index] = Number.NaN
        }
      }
    },
  }
}
