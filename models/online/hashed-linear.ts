import type { ExplainableLearner } from '../learner.ts'
import { featureLimit } from '../predictor.ts'
import { CellState } from './cell-state.ts'
import { type HashedColumns, type HashedColumnsOptions, hashedColumns } from './hashed-columns.ts'
import { type SlotOptimizerOptions, slotMemory, slotOptimizer } from './slot-optimizer.ts'

export interface HashedLinearOptions extends HashedColumnsOptions {
  /** Unless given: SGD of rate 0.05 for the logistic loss, AdaGrad of rate 0.1 for the squared. */
  readonly optimizer?: SlotOptimizerOptions
}

export interface HashedRegressionOptions extends HashedLinearOptions {
  /**
   * True, unless given: labels are standardised by their running mean and
   * deviation inside the model, so that one learning rate suits seconds and
   * cents alike. Predictions are in the label's own unit either way.
   */
  readonly scaleLabel?: boolean
}

/** A constant rate follows a changing world; on a half-year of flights it beat every fading one. */
const logisticOptimizer: SlotOptimizerOptions = { kind: 'sgd', rate: 0.05 }

/** A constant rate can diverge on the squared loss when an example has many inputs; this one cannot. */
const regressionOptimizer: SlotOptimizerOptions = { kind: 'adagrad', rate: 0.1 }

/** Largest slope of a loss that is followed; a broken label moves no weight further. */
const slopeLimit = 1e12

/** Cells before the scaler: mean, variance and number of labels, and one to keep the memory even. */
const labelCells = 4

/**
 * Binary logistic regression over numeric, bucketed and categorical columns,
 * the latter hashed into 2^bits weights together with their crosses. Predicts
 * P(label = 1). Prediction uses the scaler as it stands; learning first lets
 * the scaler see the features, then takes one step on the log loss.
 *
 * Neither predicting nor learning allocates. Work per example is proportional
 * to the columns, not to the slots.
 *
 * Source: Weinberger et al., "Feature Hashing for Large Scale Multitask
 * Learning", ICML 2009.
 */
export function hashedLogistic(options: HashedLinearOptions): ExplainableLearner<CellState> {
  return hashedModel('hashed-logistic', options, false, true)
}

/** Linear regression on the squared loss, over the same columns as `hashedLogistic`. */
export function hashedRegression(options: HashedRegressionOptions): ExplainableLearner<CellState> {
  const scaleLabel = options.scaleLabel ?? true
  return hashedModel(
    scaleLabel ? 'hashed-regression' : 'hashed-regression-unscaled',
    options,
    scaleLabel,
    false,
  )
}

function hashedModel(
  kind: string,
  options: HashedLinearOptions,
  scaleLabel: boolean,
  logistic: boolean,
): ExplainableLearner<CellState> {
  const columns = hashedColumns(options)
  const optimizerOptions = options.optimizer ?? (logistic ? logisticOptimizer : regressionOptimizer)
  const { slots, values, slotCount, scaler } = columns
  const scalerAt = labelCells
  const weightsAt = scalerAt + scaler.width + (scaler.width % 2)
  const memoryAt = weightsAt + slotCount + (slotCount % 2)
  const optimizer = slotOptimizer(optimizerOptions, { weightsAt, memoryAt })
  const name = `${kind} ${optimizer.id} ${columns.id}`
  const cellCount = memoryAt + slotCount * slotMemory(optimizerOptions)

  function score(cells: Float64Array, count: number): number {
    let sum = 0
    for (let index = 0; index < count; index++) sum += cells[weightsAt + slots[index]!]! * values[index]!
    return sum
  }

  return {
    name,
    featureCount: columns.featureCount,
    laws: { orderInsensitive: false },
    termNames: columns.termNames,
    init: () => new CellState(name, cellCount),
    predict({ cells }, features) {
      const sum = score(cells, columns.fill(cells, scalerAt, features))
      if (logistic) return 1 / (1 + Math.exp(-sum))
      return scaleLabel ? cells[0]! + sum * labelDeviation(cells) : sum
    },
    learn(state, features, label, weight = 1) {
      if (!(label <= featureLimit && label >= -featureLimit && weight > 0 && weight <= featureLimit)) return
      const { cells, touched } = state
      state.touch(0, weightsAt)
      if (scaler.width > 0) scaler.learn(cells, scalerAt, features)
      if (scaleLabel) learnLabel(cells, label)
      const count = columns.fill(cells, scalerAt, features)
      const sum = score(cells, count)
      const target = scaleLabel ? (label - cells[0]!) / labelDeviation(cells) : label
      const slope = weight * (logistic ? 1 / (1 + Math.exp(-sum)) - label : 2 * (sum - target))
      optimizer.step(cells, touched, slots, values, count, clamp(slope))
    },
    contributions: ({ cells }, features, into) =>
      writeContributions(cells, weightsAt, columns, columns.fill(cells, scalerAt, features), into),
  }
}

function writeContributions(
  cells: Float64Array,
  weightsAt: number,
  { slots, values, terms }: HashedColumns,
  count: number,
  into: Float64Array,
): void {
  into.fill(0)
  for (let index = 0; index < count; index++) {
    into[terms[index]!] = cells[weightsAt + slots[index]!]! * values[index]!
  }
}

function learnLabel(cells: Float64Array, label: number): void {
  const total = cells[2]! + 1
  const before = cells[0]!
  const after = before + (label - before) / total
  cells[0] = after
  cells[1] = cells[1]! + ((label - before) * (label - after) - cells[1]!) / total
  cells[2] = total
}

const labelDeviation = (cells: Float64Array): number => (cells[1]! > 0 ? Math.sqrt(cells[1]!) : 1)

const clamp = (slope: number): number => Math.min(slopeLimit, Math.max(-slopeLimit, slope))
