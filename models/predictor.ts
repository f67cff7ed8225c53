/**
 * Feature values in the order in which their feature view declares them.
 * Shape `[features]`. A missing value is `NaN`, never zero; an infinite one,
 * or one beyond `featureLimit`, counts as missing too.
 *
 * An identifier is carried as a number: itself where it is one, else the
 * `hashText` of its text. The model's declaration says which columns are
 * identifiers.
 */
export type FeatureVector = Float64Array

/**
 * Largest magnitude of a feature or a label that is used. Beyond it a squared
 * difference would overflow and one broken event would ruin every weight.
 */
export const featureLimit = 1e50

/** Features in, one number out; always the same for the same features. */
export interface Predictor {
  /** Kind and parameters: two predictors of one name and one state answer the same. */
  readonly name: string
  readonly featureCount: number
  /** A probability for a classifier, a value for a regression. Leaves `features` alone. */
  predict(features: FeatureVector): number
}
