import type { Classifier, Learner } from '../learner.ts'
import { featureLimit } from '../predictor.ts'
import { CellState } from './cell-state.ts'
import { answerOf, checkClassCount, isClassExample } from './class-label.ts'

/**
 * Predicts the class of the example before: what any classifier of a stream
 * has to beat, as labels often come in runs. State: [ 1 + last class ].
 *
 * Source: Bifet et al., "Pitfalls in Benchmarking Data Stream Classification
 * and How to Avoid Them", ECML PKDD 2013.
 */
export function noChange(options: {
  readonly featureCount: number
  readonly classCount: number
}): Classifier<CellState> {
  const { featureCount, classCount } = options
  return labelClassifier(`no-change ${JSON.stringify(options)}`, featureCount, classCount, 1, {
    laws: { orderInsensitive: false },
    learn(cells, label) {
      cells[0] = 1 + label
    },
    shares(cells, into) {
      into.fill(0)
      if (cells[0]! > 0) into[cells[0]! - 1] = 1
    },
  })
}

/** Predicts the share of each class so far, whatever the features. State: [ weight of each class ]. */
export function classPrior(options: {
  readonly featureCount: number
  readonly classCount: number
}): Classifier<CellState> {
  const { featureCount, classCount } = options
  return labelClassifier(`class-prior ${JSON.stringify(options)}`, featureCount, classCount, classCount, {
    laws: { orderInsensitive: true },
    learn(cells, label, weight) {
      cells[label] = cells[label]! + weight
    },
    shares(cells, into) {
      let total = 0
      for (const weight of cells) total += weight
      for (let label = 0; label < into.length; label++) into[label] = total > 0 ? cells[label]! / total : 0
    },
  })
}

/** Predicts the mean label so far, 0 before the first. State: [ weight | mean ]. */
export function targetMean({ featureCount }: { readonly featureCount: number }): Learner<CellState> {
  const name = `target-mean {"featureCount":${featureCount}}`
  return {
    name,
    featureCount,
    laws: { orderInsensitive: true },
    init: () => new CellState(name, 2),
    predict: ({ cells }) => cells[1]!,
    learn(state, _features, label, weight = 1) {
      if (!(label <= featureLimit && label >= -featureLimit && weight > 0 && weight <= featureLimit)) return
      const { cells } = state
      state.touch(0, 2)
      const total = cells[0]! + weight
      cells[0] = total
      cells[1] = cells[1]! + (weight / total) * (label - cells[1]!)
    },
  }
}

interface LabelModel {
  readonly laws: { readonly orderInsensitive: boolean }
  learn(cells: Float64Array, label: number, weight: number): void
  /** Shape `[classes]`. */
  shares(cells: Float64Array, into: Float64Array): void
}

function labelClassifier(
  name: string,
  featureCount: number,
  classCount: number,
  cellCount: number,
  model: LabelModel,
): Classifier<CellState> {
  checkClassCount(classCount)
  const scratch = new Float64Array(classCount)
  return {
    name,
    featureCount,
    classCount,
    laws: model.laws,
    init: () => new CellState(name, cellCount),
    probabilities: ({ cells }, _features, into) => model.shares(cells, into),
    predict({ cells }) {
      model.shares(cells, scratch)
      return answerOf(scratch)
    },
    learn(state, _features, label, weight = 1) {
      if (!isClassExample(label, weight, classCount)) return
      state.touch(0, cellCount)
      model.learn(state.cells, label, weight)
    },
  }
}
