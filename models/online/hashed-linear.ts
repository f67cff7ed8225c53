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
  /**
   * `log`: learns the logarithm of the label and predicts its exponential, so
   * that errors count in proportion and no answer is negative. A label of 0 or
   * less is then passed over. `identity` unless given.
   */
  readonly link?: 'identity' | 'log'
  /**
   * Errors beyond this size pull no harder than one of this size, so that a
   * broken label does little harm. In the unit of what is learnt: standard
   * deviations with `scaleLabel`. Absent: no bound.
   *
   * Source: Huber, "Robust Estimation of a Location Parameter", 1964.
   */
  readonly huber?: number
}

/** What makes one of the linear models. */
interface Shape {
  readonly kind: string
  readonly logistic: boolean
  readonly scaleLabel: boolean
  readonly logLink: boolean
  readonly huber: number
}

/** A constant rate follows a changing world; on a half-year of flights it beat every fading one. */
const logisticOptimizer: SlotOptimizerOptions = { kind: 'sgd', rate: 0.05 }

/** A constant rate can diverge on the squared loss when an example has many inputs; this one cannot. */
const regressionOptimizer: SlotOptimizerOptions = { kind: 'adagrad', rate: 0.1 }

/** Largest slope of a loss that is followed; a broken label moves no weight further. */
const slopeLimit = 1e12

/** Greatest logarithm that an answer is the exponential of; e^700 is finite still. */
const exponentLimit = 700

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
  const shape = { logistic: true, scaleLabel: false, logLink: false, huber: Number.POSITIVE_INFINITY }
  return hashedModel(options, { kind: 'hashed-logistic', ...shape })
}

/** Linear regression on the squared loss, over the same columns as `hashedLogistic`. */
export function hashedRegression(options: HashedRegressionOptions): ExplainableLearner<CellState> {
  const { scaleLabel = true, link = 'identity', huber = Number.POSITIVE_INFINITY } = options
  if (!(huber > 0)) throw new RangeError(`huber must be positive, got ${huber}`)
  const traits = [
    ...(scaleLabel ? [] : ['unscaled']),
    ...(link === 'log' ? ['log'] : []),
    ...(Number.isFinite(huber) ? [`huber(${huber})`] : []),
  ]
  return hashedModel(options, {
    kind: ['hashed-regression', ...traits].join('-'),
    logistic: false,
    scaleLabel,
    logLink: link === 'log',
    huber,
  })
}

function hashedModel(options: HashedLinearOptions, shape: Shape): ExplainableLearner<CellState> {
  const { kind, logistic, scaleLabel, logLink, huber } = shape
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
      const answer = scaleLabel ? cells[0]! + sum * labelDeviation(cells) : sum
      return logLink ? Math.exp(Math.min(exponentLimit, answer)) : answer
    },
    learn(state, features, given, weight = 1) {
      const label = logLink ? Math.log(given) : given
      if (!(label <= featureLimit && label >= -featureLimit && weight > 0 && weight <= featureLimit)) return
      const { cells, touched } = state
      state.touch(0, weightsAt)
      if (scaler.width > 0) scaler.learn(cells, scalerAt, features)
      if (scaleLabel) learnLabel(cells, label)
      const count = columns.fill(cells, scalerAt, features)
      const sum = score(cells, count)
      const target = scaleLabel ? (label - cells[0]!) / labelDeviation(cells) : label
      const error = Math.min(huber, Math.max(-huber, sum - target))
      const slope = weight * (logistic ? 1 / (1 + Math.exp(-sum)) - label : 2 * error)
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
