import { type Classifier, fromSnapshot, type Learner, type LearnerState } from '../../models/learner.ts'
import { exactAuc } from '../../models/metrics/auc.ts'
import { evaluate } from '../../models/metrics/metric.ts'
import { logLoss } from '../../models/metrics/probability-metrics.ts'
import {
  meanAbsoluteError,
  meanSquaredError,
  r2,
  rootMeanSquaredError,
} from '../../models/metrics/regression-metrics.ts'
import type { GoldenData } from './golden-data.ts'

/** A test-then-train run over a data set. */
export interface Replay {
  readonly learner: Learner
  readonly state: LearnerState
  /** One for each example; NaN where the learner knew nothing yet. Classes of more than two, else P(1) or a value. */
  readonly predictions: Float64Array
}

export interface ReplayOptions {
  readonly restart?: boolean
  /** An example is learnt so many predictions after its own; 1 (before the next) unless given. */
  readonly delay?: number
}

/**
 * Predicts each example, learns it `delay` predictions later. With `restart`
 * the learner is built anew twice: at one third it goes on from a snapshot, at
 * two thirds from the pages that were saved on the way.
 */
export function replay(build: () => Learner, data: GoldenData, options: ReplayOptions = {}): Replay {
  const { restart = false, delay = 1 } = options
  const { rows, labels } = data
  let learner = build()
  let state = learner.init()
  const pages = new Map<number, Uint8Array>()
  const third = Math.floor(rows.length / 3)
  const predictions = new Float64Array(rows.length)
  for (let index = 0; index < rows.length; index++) {
    if (restart && index === third) {
      const snapshot = state.snapshot()
      learner = build()
      state = fromSnapshot(learner, snapshot)
    } else if (restart && index === 2 * third) {
      for (const { page, bytes } of state.save()) pages.set(page, bytes.slice())
      learner = build()
      state = learner.init()
      state.restore([...pages].map(([page, bytes]) => ({ page, bytes })))
    }
    if (restart && index % 97 === 0 && index >= third && index < 2 * third) {
      for (const { page, bytes } of state.save()) pages.set(page, bytes.slice())
    }
    if (index >= delay) learner.learn(state, rows[index - delay]!, labels[index - delay]!)
    predictions[index] = answer(learner, state, rows[index]!)
  }
  for (let index = Math.max(0, rows.length - delay); index < rows.length; index++) {
    learner.learn(state, rows[index]!, labels[index]!)
  }
  return { learner, state, predictions }
}

function answer(learner: Learner, state: LearnerState, features: Float64Array): number {
  if (isClassifier(learner)) {
    const shares = new Float64Array(learner.classCount)
    learner.probabilities(state, features, shares)
    if (shares.every((share) => share === 0)) return Number.NaN
  }
  return learner.predict(state, features)
}

const isClassifier = (learner: Learner): learner is Classifier => 'classCount' in learner

/** Labels and predictions of the examples that were predicted. */
interface Scored {
  readonly labels: number[]
  readonly predictions: number[]
}

export function scoredOf({ predictions }: Replay, { labels }: GoldenData): Scored {
  const known = [...predictions.keys()].filter((index) => !Number.isNaN(predictions[index]))
  return {
    labels: known.map((index) => labels[index]!),
    predictions: known.map((index) => predictions[index]!),
  }
}

/** The expected results clip the probability alone, so that 1 less it is 9.99e-16 where it should be 1e-15. */
const clamped = (p: number): number => Math.min(1 - 1e-15, Math.max(1e-15, p))

/** The metrics that the expected results name, of probabilities of two classes. */
export function binaryMetrics({ labels, predictions }: Scored): Record<string, number> {
  const classes = predictions.map((p) => (p > 0.5 ? 1 : 0))
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
  return {
    Accuracy: accuracy(labels, classes),
    F1: f1(labels, classes, 1),
    LogLoss: evaluate(logLoss(1e-16), labels, predictions.map(clamped)),
    ROCAUC_exact: evaluate(exactAuc, labels, predictions),
    mean_p: mean(predictions),
    base_rate: mean(labels),
  }
}

export function multiclassMetrics({ labels, predictions }: Scored): Record<string, number> {
  const classes = [...new Set([...labels, ...predictions])]
  const scores = classes.map((label) => f1(labels, predictions, label))
  return {
    Accuracy: accuracy(labels, predictions),
    MacroF1: scores.reduce((sum, score) => sum + score, 0) / scores.length,
  }
}

export function regressionMetrics({ labels, predictions }: Scored): Record<string, number> {
  return {
    MAE: evaluate(meanAbsoluteError, labels, predictions),
    MSE: evaluate(meanSquaredError, labels, predictions),
    RMSE: evaluate(rootMeanSquaredError, labels, predictions),
    R2: evaluate(r2, labels, predictions),
  }
}

const accuracy = (labels: readonly number[], classes: readonly number[]): number =>
  labels.filter((label, index) => label === classes[index]).length / labels.length

function f1(labels: readonly number[], classes: readonly number[], of: number): number {
  let both = 0
  let either = 0
  for (const [index, label] of labels.entries()) {
    if (label === of && classes[index] === of) both++
    either += (label === of ? 1 : 0) + (classes[index] === of ? 1 : 0)
  }
  return either === 0 ? 0 : (2 * both) / either
}
