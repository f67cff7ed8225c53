import { expect, test } from 'vitest'
import type { ColumnAggregate } from '../../../processors/aggregate/aggregate.ts'
import { kurtosis } from '../../../processors/aggregate/kurtosis.ts'
import { skew } from '../../../processors/aggregate/skew.ts'
import { standardDeviation } from '../../../processors/aggregate/standard-deviation.ts'
import { standardError } from '../../../processors/aggregate/standard-error.ts'
import { variance } from '../../../processors/aggregate/variance.ts'
import {
  type ColumnAggregateCase,
  columnAggregateSuite,
  type TimedNumber,
} from '../../conformance/aggregate.suite.ts'

/** Sum of a power of the deviations, in two passes; exactly 0 where all values are equal. */
function powers(values: readonly number[], power: number): number {
  if (values.every((value) => value === values[0])) return 0
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const rest = values.reduce((sum, value) => sum + (value - mean), 0) / values.length
  return values.reduce((sum, value) => sum + (value - mean - rest) ** power, 0)
}

const oracles = {
  variance: (values: readonly number[], less: number) =>
    values.length > less ? powers(values, 2) / (values.length - less) : Number.NaN,
  skew: (values: readonly number[]) =>
    powers(values, 3) / values.length / (powers(values, 2) / values.length) ** 1.5,
  kurtosis: (values: readonly number[]) =>
    powers(values, 4) / values.length / (powers(values, 2) / values.length) ** 2 - 3,
}

const largest = (values: readonly number[]): number => Math.max(1, ...values.map(Math.abs))
const spread = (values: readonly number[]): number =>
  values.length === 0 ? 0 : Math.max(...values) - Math.min(...values)

const moment = (
  aggregate: ColumnAggregate,
  oracle: (values: readonly number[]) => number,
  about: Pick<ColumnAggregateCase, 'scale' | 'isUnstable'> = {},
): void =>
  columnAggregateSuite({
    aggregate,
    isExactOnIntegers: false,
    oracle: (events) => oracle(events.map(({ input }) => input)),
    ...about,
  })

/** Rounding of the mean times the spread. */
const squared = {
  scale: (events: readonly TimedNumber[]) => {
    const values = events.map(({ input }) => input)
    return spread(values) ** 2 + spread(values) * largest(values)
  },
}
const root = {
  scale: (events: readonly TimedNumber[]) => largest(events.map(({ input }) => input)),
  isUnstable: (events: readonly TimedNumber[]) => isNearlyEqual(events.map(({ input }) => input)),
}
const standardized = {
  scale: (events: readonly TimedNumber[]) => {
    const values = events.map(({ input }) => input)
    return 100 * (1 + largest(values) / Math.max(spread(values), 1e-3))
  },
  isUnstable: root.isUnstable,
}
const isNearlyEqual = (values: readonly number[]): boolean =>
  spread(values) > 0 && spread(values) < 1e-4 * Math.min(1, largest(values))

moment(variance(), (values) => oracles.variance(values, 1), squared)
moment(variance({ of: 'population' }), (values) => oracles.variance(values, 0), squared)
moment(standardDeviation(), (values) => Math.sqrt(oracles.variance(values, 1)), root)
moment(standardDeviation({ of: 'population' }), (values) => Math.sqrt(oracles.variance(values, 0)), root)
moment(standardError(), (values) => Math.sqrt(oracles.variance(values, 1) / values.length), root)
moment(skew({ of: 'population' }), oracles.skew, standardized)
moment(
  skew(),
  (values) => {
    const count = values.length
    return count < 3 ? Number.NaN : (oracles.skew(values) * Math.sqrt(count * (count - 1))) / (count - 2)
  },
  standardized,
)
moment(kurtosis({ of: 'population' }), oracles.kurtosis, standardized)
moment(
  kurtosis(),
  (values) => {
    const n = values.length
    if (n < 4) return Number.NaN
    return (((n + 1) * oracles.kurtosis(values) + 6) * (n - 1)) / ((n - 2) * (n - 3))
  },
  standardized,
)

const answerOf = (aggregate: ColumnAggregate, values: Iterable<number>): number => {
  const [fold] = aggregate.folds as [ColumnAggregate['folds'][number]]
  const row = new Float64Array(fold.width)
  fold.init(row, 0)
  for (const value of values) fold.add(row, 0, value, 0)
  return aggregate.finish(row, [0], 0)
}

test('skew of a known list is that of the example in the documentation of scipy.stats.skew', () => {
  expect(answerOf(skew({ of: 'population' }), [2, 8, 0, 4, 1, 9, 9, 0])).toBeCloseTo(0.2650554122698573, 14)
  expect(answerOf(skew({ of: 'population' }), [1, 2, 3, 4, 5])).toBe(0)
})

test('a spread of one around 100,000 keeps its digits over a hundred thousand values', () => {
  let state = 1
  const values = Array.from({ length: 100_000 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return 100_000 + state / 2 ** 32
  })
  const wanted = powers(values, 2) / values.length
  expect(Math.abs(answerOf(variance({ of: 'population' }), values) / wanted - 1)).toBeLessThan(1e-11)
})
