import type { Classifier } from '../learner.ts'
import { featureLimit } from '../predictor.ts'
import { CellState } from './cell-state.ts'
import { answerOf, checkClassCount, isClassExample, normalizeLogs } from './class-label.ts'

export interface NaiveBayesOptions {
  readonly featureCount: number
  readonly classCount: number
}

const halfLogTau = 0.5 * Math.log(2 * Math.PI)

/** Added to every density, so that one far value does not rule a class out. */
const densityFloor = 1e-9

/** Log density at x of the normal distribution with n values, this mean and this sum of squared deviations; -Infinity without a variance. */
export function logNormalDensity(x: number, n: number, mean: number, squares: number): number {
  const variance = squares / (n - 1)
  if (!(n > 1 && variance > 0)) return Number.NEGATIVE_INFINITY
  return ((x - mean) * (x - mean)) / (-2 * variance) - halfLogTau - 0.5 * Math.log(variance)
}

/**
 * Gaussian naive Bayes: a normal distribution of each feature within each
 * class; a missing feature says nothing.
 *
 * Source: John and Langley, "Estimating Continuous Distributions in Bayesian
 * Classifiers", UAI 1995. State: [ weight of each class | n, mean, squared
 * deviations of each class and feature ].
 */
export function gaussianNaiveBayes(options: NaiveBayesOptions): Classifier<CellState> {
  const { featureCount, classCount } = options
  return bayes(`gaussian-nb ${JSON.stringify(options)}`, options, 3 * featureCount * classCount, {
    logLikelihood(cells, label, features) {
      let sum = 0
      for (let index = 0; index < featureCount; index++) {
        const value = features[index]!
        if (!(value <= featureLimit && value >= -featureLimit)) continue
        const at = classCount + 3 * (label * featureCount + index)
        const log = logNormalDensity(value, cells[at]!, cells[at + 1]!, cells[at + 2]!)
        sum += Math.log(densityFloor + Math.exp(log))
      }
      return sum
    },
    learn(cells, label, features, weight) {
      for (let index = 0; index < featureCount; index++) {
        const value = features[index]!
        if (!(value <= featureLimit && value >= -featureLimit)) continue
        const at = classCount + 3 * (label * featureCount + index)
        const total = cells[at]! + weight
        const before = cells[at + 1]!
        const after = before + (weight / total) * (value - before)
        cells[at] = total
        cells[at + 1] = after
        cells[at + 2] = cells[at + 2]! + weight * (value - before) * (value - after)
      }
    },
  })
}

/**
 * Multinomial naive Bayes of counts, as of words: features are how often each
 * occurs, negative ones count as missing. `alpha`, 1 unless given, is added to
 * every count.
 *
 * Source: Manning, Raghavan and Schütze, "Introduction to Information
 * Retrieval", 2008, chapter 13. State: [ weight of each class | sum of the
 * counts of each class | count of each class and feature ].
 */
export function multinomialNaiveBayes(
  options: NaiveBayesOptions & { readonly alpha?: number },
): Classifier<CellState> {
  const { featureCount, classCount, alpha = 1 } = options
  const totalsAt = classCount
  const countsAt = 2 * classCount
  return bayes(
    `multinomial-nb ${JSON.stringify({ featureCount, classCount, alpha })}`,
    options,
    classCount * (featureCount + 1),
    {
      logLikelihood(cells, label, features) {
        let sum = 0
        const total = Math.log(cells[totalsAt + label]! + alpha * featureCount)
        for (let index = 0; index < featureCount; index++) {
          const count = features[index]!
          if (!(count <= featureLimit && count > 0)) continue
          sum += count * (Math.log(cells[countsAt + label * featureCount + index]! + alpha) - total)
        }
        return sum
      },
      learn(cells, label, features, weight) {
        for (let index = 0; index < featureCount; index++) {
          const count = features[index]!
          if (!(count <= featureLimit && count > 0)) continue
          const at = countsAt + label * featureCount + index
          cells[at] = cells[at]! + weight * count
          cells[totalsAt + label] = cells[totalsAt + label]! + weight * count
        }
      },
    },
  )
}

/**
 * Bernoulli naive Bayes: a feature is present where it is above `threshold`, 0
 * unless given; absence counts too. `alpha`, 1 unless given, is added to both.
 *
 * Source: as above, section 13.3. State: [ weight of each class | for each
 * class and feature the weight of values and of those present ].
 */
export function bernoulliNaiveBayes(
  options: NaiveBayesOptions & { readonly alpha?: number; readonly threshold?: number },
): Classifier<CellState> {
  const { featureCount, classCount, alpha = 1, threshold = 0 } = options
  return bayes(
    `bernoulli-nb ${JSON.stringify({ featureCount, classCount, alpha, threshold })}`,
    options,
    2 * classCount * featureCount,
    {
      logLikelihood(cells, label, features) {
        let sum = 0
        for (let index = 0; index < featureCount; index++) {
          const value = features[index]!
          if (!(value <= featureLimit && value >= -featureLimit)) continue
          const at = classCount + 2 * (label * featureCount + index)
          const present = (cells[at + 1]! + alpha) / (cells[at]! + 2 * alpha)
          sum += Math.log(value > threshold ? present : 1 - present)
        }
        return sum
      },
      learn(cells, label, features, weight) {
        for (let index = 0; index < featureCount; index++) {
          const value = features[index]!
          if (!(value <= featureLimit && value >= -featureLimit)) continue
          const at = classCount + 2 * (label * featureCount + index)
          cells[at] = cells[at]! + weight
          if (value > threshold) cells[at + 1] = cells[at + 1]! + weight
        }
      },
    },
  )
}

interface ClassModel {
  logLikelihood(cells: Float64Array, label: number, features: Float64Array): number
  learn(cells: Float64Array, label: number, features: Float64Array, weight: number): void
}

/** The weight of each class is in the first cells. */
function bayes(
  name: string,
  { featureCount, classCount }: NaiveBayesOptions,
  modelCells: number,
  model: ClassModel,
): Classifier<CellState> {
  checkClassCount(classCount)
  const scratch = new Float64Array(classCount)

  function probabilities({ cells }: CellState, features: Float64Array, into: Float64Array): void {
    let total = 0
    for (let label = 0; label < classCount; label++) total += cells[label]!
    for (let label = 0; label < classCount; label++) {
      const weight = cells[label]!
      into[label] =
        weight > 0
          ? Math.log(weight / total) + model.logLikelihood(cells, label, features)
          : Number.NEGATIVE_INFINITY
    }
    normalizeLogs(into)
  }

  return {
    name,
    featureCount,
    classCount,
    laws: { orderInsensitive: true },
    init: () => new CellState(name, classCount + modelCells),
    probabilities,
    predict(state, features) {
      probabilities(state, features, scratch)
      return answerOf(scratch)
    },
    learn(state, features, label, weight = 1) {
      if (!isClassExample(label, weight, classCount)) return
      state.touch(0, state.cells.length)
      state.cells[label] = state.cells[label]! + weight
      model.learn(state.cells, label, features, weight)
    },
  }
}
