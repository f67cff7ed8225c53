import type { Learner } from '../learner.ts'
import { SeededGenerator } from '../policy/seeded-generator.ts'
import { featureLimit } from '../predictor.ts'
import { CellState, pageShift, pageTouched } from './cell-state.ts'
import { type HashedColumns, type HashedColumnsOptions, hashedColumns } from './hashed-columns.ts'
import { type SlotOptimizerOptions, slotMemory, slotOptimizer } from './slot-optimizer.ts'

/**
 * Where the factors of an input start: not at 0, which they would never leave.
 *
 * * `normal`: drawn by slot and seed, so that the order of events does not
 *   matter; mean 0, this deviation.
 * * `sine`: `scale * sin(1 + m k + f)` for factor f of k of the m-th input to
 *   appear, from 0; needs no generator, to compare with other programs.
 */
export type FactorStart =
  | { readonly kind: 'normal'; readonly deviation?: number; readonly seed?: number }
  | { readonly kind: 'sine'; readonly scale: number }

export interface FactorizationOptions extends HashedColumnsOptions {
  /** Factors of each input; 8 unless given, 1 to 64. */
  readonly factors?: number
  readonly start?: FactorStart
  /** Of the weights; AdaGrad of rate 0.1 unless given. */
  readonly optimizer?: SlotOptimizerOptions
  /** Of the factors; that of the weights unless given. FTRL does not suit them: it starts at 0. */
  readonly factorOptimizer?: Exclude<SlotOptimizerOptions, { readonly kind: 'ftrl' }>
}

/** Largest slope of a loss, and largest slope of a score by a factor, that is followed. */
const slopeLimit = 1e12

const defaultOptimizer = { kind: 'adagrad', rate: 0.1 } as const

/**
 * Factorisation machine of order 2 over numeric and hashed columns: a weight
 * for each input and, for each pair of inputs, the inner product of their
 * factors, so that it knows something of pairs that it has never seen
 * together. Predicts P(label = 1).
 *
 * Score: w0 + sum w_i x_i + 1/2 sum_f ((sum v_if x_i)^2 - sum (v_if x_i)^2),
 * linear in the inputs in use. Neither predicting nor learning allocates.
 *
 * Source: Rendle, "Factorization Machines", ICDM 2010.
 */
export function factorizationLogistic(options: FactorizationOptions): Learner<CellState> {
  const link = (score: number): number => 1 / (1 + Math.exp(-score))
  return factorization('factorization-logistic', options, link, (score, label) => link(score) - label)
}

/** The same for values, on the squared loss, in the label's own unit. */
export function factorizationRegression(options: FactorizationOptions): Learner<CellState> {
  return factorization(
    'factorization-regression',
    options,
    (score) => score,
    (score, label) => 2 * (score - label),
  )
}

/**
 * State: [ inputs seen, 3 cells free | scaler | weights | their memory |
 * 1 + order of appearance of each slot | factors | their memory ].
 */
function factorization(
  kind: string,
  options: FactorizationOptions,
  link: (score: number) => number,
  slopeOf: (score: number, label: number) => number,
): Learner<CellState> {
  const { factors = 8, start = { kind: 'normal' }, optimizer: weightOptions = defaultOptimizer } = options
  const factorOptions = options.factorOptimizer ?? weightOptions
  checkFactors(factors, factorOptions)
  const columns = hashedColumns(options)
  const { scaler, slots, values } = columns
  const layout = layoutOf(columns, factors, weightOptions)
  const { weightsAt, factorsAt, factorMemoryAt } = layout
  const cellCount = factorMemoryAt + columns.slotCount * factors * slotMemory(factorOptions)
  const weightOptimizer = slotOptimizer(weightOptions, layout)
  const factorOptimizer = slotOptimizer(factorOptions, { weightsAt: factorsAt, memoryAt: factorMemoryAt })
  const declared = JSON.stringify({ factors, start })
  const name = `${kind} ${declared} ${weightOptimizer.id} ${factorOptimizer.id} ${columns.id}`
  const pairs = pairsOf(columns, layout, factors, factorStart(start, factors))

  return {
    name,
    featureCount: columns.featureCount,
    laws: { orderInsensitive: false },
    init: () => new CellState(name, cellCount),
    predict: ({ cells }, features) => link(pairs.score(cells, columns.fill(cells, scalerAt, features))),
    learn(state, features, label, weight = 1) {
      if (!(label <= featureLimit && label >= -featureLimit && weight > 0 && weight <= featureLimit)) return
      const { cells, touched } = state
      state.touch(0, weightsAt)
      if (scaler.width > 0) scaler.learn(cells, scalerAt, features)
      const count = columns.fill(cells, scalerAt, features)
      const slope = clamp(weight * slopeOf(pairs.score(cells, count), label))
      pairs.admit(state, count)
      weightOptimizer.step(cells, touched, slots, values, count, slope)
      factorOptimizer.step(cells, touched, pairs.slots, pairs.slopes, pairs.fillSlopes(count), slope)
    },
  }
}

const scalerAt = 4

/** First cells of the regions of a state; of the weights, as their optimizer wants them, and of the rest. */
interface Layout {
  readonly weightsAt: number
  readonly memoryAt: number
  readonly seenAt: number
  readonly factorsAt: number
  readonly factorMemoryAt: number
}

/** Every region starts at an even cell, so that no two neighbours that belong together lie on two pages. */
function layoutOf(
  { scaler, slotCount }: HashedColumns,
  factors: number,
  weightOptions: SlotOptimizerOptions,
): Layout {
  const even = (cells: number): number => cells + (cells % 2)
  const weightsAt = even(scalerAt + scaler.width)
  const memoryAt = even(weightsAt + slotCount)
  const seenAt = even(memoryAt + slotCount * slotMemory(weightOptions))
  const factorsAt = even(seenAt + slotCount)
  return { weightsAt, memoryAt, seenAt, factorsAt, factorMemoryAt: even(factorsAt + slotCount * factors) }
}

/** What the pairs of inputs of the example in hand add to its score, and how that moves with each factor. */
interface Pairs {
  /** The score of the columns' first `count` slots. The constant, at index 0, has no factors. */
  score(cells: Float64Array, count: number): number
  /** Gives each new input of the example scored last its first factors and its place in the order of appearance. */
  admit(state: CellState, count: number): void
  /** Fills `slots` and `slopes` for the example scored last and returns how many are in use. */
  fillSlopes(count: number): number
  readonly slots: Int32Array
  readonly slopes: Float64Array
}

function pairsOf(
  { slots: inputs, values }: HashedColumns,
  { weightsAt, seenAt, factorsAt }: Layout,
  factors: number,
  startOf: FactorStarter,
): Pairs {
  const current = new Float64Array(inputs.length * factors)
  const sums = new Float64Array(factors)
  const slots = new Int32Array(inputs.length * factors)
  const slopes = new Float64Array(inputs.length * factors)

  /** Factors of inputs not seen before are as they will start. */
  function gather(cells: Float64Array, count: number): void {
    let unseen = 0
    for (let index = 1; index < count; index++) {
      const slot = inputs[index]!
      const known = cells[seenAt + slot]! > 0
      for (let factor = 0; factor < factors; factor++) {
        current[index * factors + factor] = known
          ? cells[factorsAt + slot * factors + factor]!
          : startOf(slot, cells[0]! + unseen, factor)
      }
      if (!known) unseen++
    }
  }

  return {
    slots,
    slopes,
    score(cells, count) {
      gather(cells, count)
      let sum = 0
      for (let index = 0; index < count; index++) sum += cells[weightsAt + inputs[index]!]! * values[index]!
      for (let factor = 0; factor < factors; factor++) {
        let total = 0
        let squares = 0
        for (let index = 1; index < count; index++) {
          const term = current[index * factors + factor]! * values[index]!
          total += term
          squares += term * term
        }
        sums[factor] = total
        sum += 0.5 * (total * total - squares)
      }
      return sum
    },
    admit({ cells, touched }, count) {
      for (let index = 1; index < count; index++) {
        const slot = inputs[index]!
        if (cells[seenAt + slot]! > 0) continue
        cells[0] = cells[0]! + 1
        cells[seenAt + slot] = cells[0]!
        touched[(seenAt + slot) >> pageShift] = pageTouched
        for (let factor = 0; factor < factors; factor++) {
          cells[factorsAt + slot * factors + factor] = current[index * factors + factor]!
        }
      }
    },
    fillSlopes(count) {
      let used = 0
      for (let index = 1; index < count; index++) {
        const value = values[index]!
        for (let factor = 0; factor < factors; factor++) {
          slots[used] = inputs[index]! * factors + factor
          slopes[used++] = clamp(value * (sums[factor]! - current[index * factors + factor]! * value))
        }
      }
      return used
    },
  }
}

function checkFactors(factors: number, { kind }: SlotOptimizerOptions): void {
  if (!(Number.isInteger(factors) && factors >= 1 && factors <= 64)) {
    throw new RangeError(`factors must be a whole number from 1 to 64, got ${factors}`)
  }
  if (kind === 'ftrl') {
    throw new RangeError(
      'factors need sgd or adagrad; give a factorOptimizer beside an optimizer of kind ftrl',
    )
  }
}

type FactorStarter = (slot: number, appearance: number, factor: number) => number

function factorStart(start: FactorStart, factors: number): FactorStarter {
  if (start.kind === 'sine') {
    return (_slot, appearance, factor) => start.scale * Math.sin(1 + appearance * factors + factor)
  }
  const { deviation = 0.05, seed = 1 } = start
  if (!(deviation > 0 && deviation < 1e6))
    throw new RangeError(`deviation must be positive, got ${deviation}`)
  const generator = SeededGenerator.of(seed)
  return (slot, _appearance, factor) => {
    generator.seed((slot * 64 + factor) * 65_536 + (seed % 65_536))
    return deviation * generator.normal()
  }
}

const clamp = (slope: number): number => Math.min(slopeLimit, Math.max(-slopeLimit, slope))
