import { count } from '../../../processors/aggregate/count.ts'
import { decayedCount } from '../../../processors/aggregate/decayed-count.ts'
import { decayedMean } from '../../../processors/aggregate/decayed-mean.ts'
import { decayedSum } from '../../../processors/aggregate/decayed-sum.ts'
import { first } from '../../../processors/aggregate/first.ts'
import { last } from '../../../processors/aggregate/last.ts'
import { max } from '../../../processors/aggregate/max.ts'
import { mean } from '../../../processors/aggregate/mean.ts'
import { min } from '../../../processors/aggregate/min.ts'
import { range } from '../../../processors/aggregate/range.ts'
import { rate } from '../../../processors/aggregate/rate.ts'
import { sum } from '../../../processors/aggregate/sum.ts'
import {
  type ColumnAggregateCase,
  columnAggregateSuite,
  type TimedNumber,
} from '../../conformance/aggregate.suite.ts'

const values = (events: readonly TimedNumber[]): number[] => events.map(({ input }) => input)
const total = (events: readonly TimedNumber[]): number =>
  values(events).reduce((sum, value) => sum + value, 0)
const byTime = (events: readonly TimedNumber[]): TimedNumber[] => [...events].sort((a, b) => a.atMs - b.atMs)

const halfLifeMs = 3_000
const weights = (events: readonly TimedNumber[], queryMs: number): number[] =>
  events.map(({ atMs }) => 2 ** (-(queryMs - atMs) / halfLifeMs))
const weighted = (events: readonly TimedNumber[], queryMs: number): number =>
  weights(events, queryMs).reduce((sum, weight, index) => sum + weight * events[index]!.input, 0)
const weight = (events: readonly TimedNumber[], queryMs: number): number =>
  weights(events, queryMs).reduce((sum, each) => sum + each, 0)

const cases: readonly ColumnAggregateCase[] = [
  { aggregate: count(), isExactOnIntegers: true, whenEmpty: 0, oracle: (events) => events.length },
  {
    aggregate: sum(),
    isExactOnIntegers: true,
    oracle: (events) => (events.length === 0 ? Number.NaN : total(events)),
  },
  {
    aggregate: sum({ whenEmpty: 0 }),
    label: 'with 0 for none',
    isExactOnIntegers: true,
    whenEmpty: 0,
    oracle: total,
  },
  { aggregate: mean(), isExactOnIntegers: true, oracle: (events) => total(events) / events.length },
  {
    aggregate: min(),
    isExactOnIntegers: true,
    oracle: (events) => (events.length === 0 ? Number.NaN : Math.min(...values(events))),
  },
  {
    aggregate: max(),
    isExactOnIntegers: true,
    oracle: (events) => (events.length === 0 ? Number.NaN : Math.max(...values(events))),
  },
  { aggregate: first(), isExactOnIntegers: true, oracle: (events) => byTime(events)[0]?.input ?? Number.NaN },
  {
    aggregate: last(),
    isExactOnIntegers: true,
    oracle: (events) => byTime(events).at(-1)?.input ?? Number.NaN,
  },
  {
    aggregate: rate({ successes: 1, trials: 4 }),
    isExactOnIntegers: true,
    whenEmpty: 0.25,
    oracle: (events) => (total(events) + 1) / (events.length + 4),
  },
  {
    aggregate: rate({ successes: 0, trials: 0 }),
    label: 'without a prior',
    isExactOnIntegers: true,
    oracle: (events) => total(events) / events.length,
  },
  {
    aggregate: range(),
    isExactOnIntegers: true,
    oracle: (events) =>
      events.length === 0 ? Number.NaN : Math.max(...values(events)) - Math.min(...values(events)),
  },
  { aggregate: decayedCount(halfLifeMs), isExactOnIntegers: false, whenEmpty: 0, oracle: weight },
  {
    aggregate: decayedSum(halfLifeMs),
    isExactOnIntegers: false,
    oracle: (events, queryMs) => (events.length === 0 ? Number.NaN : weighted(events, queryMs)),
  },
  {
    aggregate: decayedMean(halfLifeMs),
    isExactOnIntegers: false,
    oracle: (events, queryMs) => weighted(events, queryMs) / weight(events, queryMs),
  },
]

for (const each of cases) columnAggregateSuite(each)
