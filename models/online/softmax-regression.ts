import type { Classifier } from '../learner.ts'
import { CellState } from './cell-state.ts'
import { answerOf, checkClassCount, isClassExample, normalizeLogs } from './class-label.ts'
import { dot, type InputScaling, scaledInput } from './input-scaling.ts'
import { type VectorOptimizerOptions, vectorOptimizer } from './vector-optimizer.ts'

export interface SoftmaxOptions {
  readonly featureCount: number
  readonly classCount: number
  /** Unless given: SGD of rate 0.01. */
  readonly optimizer?: VectorOptimizerOptions
  readonly l2?: number
  /** `standard` unless given. */
  readonly scaling?: InputScaling
}

/**
 * Logistic regression of several classes: a weight vector for each, no
 * intercept. A class takes part once it has been seen.
 *
 * Source: Bishop, "Pattern Recognition and Machine Learning", 2006, section
 * 4.3.4. State: [ seen and steps of each class | scaler | weights | memory ].
 */
export function softmaxRegression({
  featureCount,
  classCount,
  optimizer: optimizerOptions = { kind: 'sgd', rate: 0.01 },
  l2 = 0,
  scaling = 'standard',
}: SoftmaxOptions): Classifier<CellState> {
  checkClassCount(classCount)
  const input = scaledInput(scaling, featureCount)
  const optimizer = vectorOptimizer(optimizerOptions)
  const scalerAt = 2 * classCount
  const weightsAt = scalerAt + input.width
  const memoryAt = weightsAt + classCount * featureCount
  const cellCount = memoryAt + classCount * featureCount * optimizer.memory
  const name = `softmax ${JSON.stringify({ featureCount, classCount, scaling, l2 })} ${optimizer.id}`
  const { values } = input
  const gradients = new Float64Array(featureCount)
  const scratch = new Float64Array(classCount)

  function score(cells: Float64Array, into: Float64Array, ahead: boolean): void {
    for (let label = 0; label < classCount; label++) {
      if (cells[2 * label] === 0) {
        into[label] = Number.NEGATIVE_INFINITY
        continue
      }
      const at = label * featureCount
      into[label] = dot(cells, weightsAt + at, values)
      if (ahead) into[label]! -= optimizer.lookAhead * dot(cells, memoryAt + at * optimizer.memory, values)
    }
    normalizeLogs(into)
  }

  function probabilities({ cells }: CellState, features: Float64Array, into: Float64Array): void {
    input.forPrediction(cells, scalerAt, features)
    score(cells, into, false)
  }

  return {
    name,
    featureCount,
    classCount,
    laws: { orderInsensitive: false },
    init: () => new CellState(name, cellCount),
    probabilities,
    predict(state, features) {
      probabilities(state, features, scratch)
      return answerOf(scratch)
    },
    learn(state, features, label, weight = 1) {
      if (!isClassExample(label, weight, classCount)) return
      const { cells } = state
      state.touch(0, cellCount)
      input.forLearning(cells, scalerAt, features)
      score(cells, scratch, optimizer.lookAhead > 0)
      cells[2 * label] = 1
      for (let other = 0; other < classCount; other++) {
        if (cells[2 * other] === 0) continue
        const at = other * featureCount
        const slope = weight * (scratch[other]! - (other === label ? 1 : 0))
        for (let index = 0; index < featureCount; index++) {
          gradients[index] = slope * values[index]! + l2 * cells[weightsAt + at + index]!
        }
        const steps = cells[2 * other + 1]!
        optimizer.step(cells, weightsAt + at, memoryAt + at * optimizer.memory, gradients, steps)
        cells[2 * other + 1] = steps + 1
      }
    },
  }
}
