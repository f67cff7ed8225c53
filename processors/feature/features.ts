import type { Contract } from '../../state/contracts/contract.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import type { ColumnAggregate } from '../aggregate/aggregate.ts'
import { count as countOf } from '../aggregate/count.ts'
import { decayedCount as decayedCountOf } from '../aggregate/decayed-count.ts'
import { decayedMean as decayedMeanOf } from '../aggregate/decayed-mean.ts'
import { decayedSum as decayedSumOf } from '../aggregate/decayed-sum.ts'
import {
  meanInterval as meanIntervalOf,
  timeSinceFirst as timeSinceFirstOf,
  timeSinceLast as timeSinceLastOf,
} from '../aggregate/event-times.ts'
import { first as firstOf } from '../aggregate/first.ts'
import { kurtosis as kurtosisOf } from '../aggregate/kurtosis.ts'
import { last as lastOf } from '../aggregate/last.ts'
import { max as maxOf } from '../aggregate/max.ts'
import { mean as meanOf } from '../aggregate/mean.ts'
import { min as minOf } from '../aggregate/min.ts'
import { range as rangeOf } from '../aggregate/range.ts'
import { type RatePrior, rate as rateOf } from '../aggregate/rate.ts'
import { skew as skewOf } from '../aggregate/skew.ts'
import { smoothedMean as smoothedMeanOf } from '../aggregate/smoothed-mean.ts'
import { standardDeviation as standardDeviationOf } from '../aggregate/standard-deviation.ts'
import { standardError as standardErrorOf } from '../aggregate/standard-error.ts'
import { sum as sumOf } from '../aggregate/sum.ts'
import { trend as trendOf } from '../aggregate/trend.ts'
import { type SpreadOptions, variance as varianceOf } from '../aggregate/variance.ts'
import { type FeatureInput, type FeatureWindow, type WindowedFeature, windowed } from './feature.ts'

/**
 * The aggregates by name: with no arguments the aggregate itself, for stream
 * operators; with an event a windowed feature of it.
 */
interface FieldAggregate {
  (): ColumnAggregate
  <Value>(source: Contract<Value>, input: FeatureInput<Value>, window: FeatureWindow<Value>): WindowedFeature
}

function fieldAggregate(aggregate: () => ColumnAggregate): FieldAggregate {
  return (<Value>(source?: Contract<Value>, input?: FeatureInput<Value>, window?: FeatureWindow<Value>) =>
    source === undefined || window === undefined
      ? aggregate()
      : windowed(aggregate(), source, input, window)) as FieldAggregate
}

/** The same for aggregates of an event's time: they take no field in. */
interface EventAggregate {
  (): ColumnAggregate
  <Value>(source: Contract<Value>, window: FeatureWindow<Value>): WindowedFeature
}

function eventAggregate(aggregate: () => ColumnAggregate): EventAggregate {
  return (<Value>(source?: Contract<Value>, window?: FeatureWindow<Value>) =>
    source === undefined || window === undefined
      ? aggregate()
      : windowed(aggregate(), source, undefined, window)) as EventAggregate
}

/** The same for aggregates of a spread, of a sample unless `of` says `population`. */
interface SpreadAggregate {
  (options?: SpreadOptions): ColumnAggregate
  <Value>(
    source: Contract<Value>,
    input: FeatureInput<Value>,
    window: FeatureWindow<Value> & SpreadOptions,
  ): WindowedFeature
}

function spreadAggregate(aggregate: (options?: SpreadOptions) => ColumnAggregate): SpreadAggregate {
  return (<Value>(
    source?: Contract<Value> | SpreadOptions,
    input?: FeatureInput<Value>,
    window?: FeatureWindow<Value> & SpreadOptions,
  ) =>
    input === undefined || window === undefined
      ? aggregate(source as SpreadOptions | undefined)
      : windowed(aggregate(window), source as Contract<Value>, input, window)) as SpreadAggregate
}

/** Number of events; an empty window is 0. */
export const count: EventAggregate = eventAggregate(countOf)

/** Sum of values, compensated for rounding. */
export const sum: FieldAggregate = fieldAggregate(sumOf)
/** Mean of values. */
export const mean: FieldAggregate = fieldAggregate(meanOf)
/** Smallest value. */
export const min: FieldAggregate = fieldAggregate(minOf)
/** Largest value. */
export const max: FieldAggregate = fieldAggregate(maxOf)
/** The value of the earliest event of the window; of several at once, of the one that came first. */
export const first: FieldAggregate = fieldAggregate(firstOf)
/** The value of the newest event of the window; of several at once, of the one that came last. */
export const last: FieldAggregate = fieldAggregate(lastOf)

/** Largest value less the smallest. */
export const range: FieldAggregate = fieldAggregate(rangeOf)
/** Variance about the mean; null for one value of a sample. */
export const variance: SpreadAggregate = spreadAggregate(varianceOf)
/** Square root of the variance. */
export const standardDeviation: SpreadAggregate = spreadAggregate(standardDeviationOf)
/** Standard deviation of the mean, from the sample's. */
export const standardError: FieldAggregate = fieldAggregate(standardErrorOf)
/** Third standardized moment; null where all values are the same. */
export const skew: SpreadAggregate = spreadAggregate(skewOf)
/** Fourth standardized moment in excess of the normal distribution's. */
export const kurtosis: SpreadAggregate = spreadAggregate(kurtosisOf)
/** Milliseconds from the newest event of the window to the query. */
export const timeSinceLast: EventAggregate = eventAggregate(timeSinceLastOf)
/** Milliseconds from the earliest event of the window to the query. */
export const timeSinceFirst: EventAggregate = eventAggregate(timeSinceFirstOf)
/** Mean milliseconds between neighbouring events of the window; null for fewer than two. */
export const meanInterval: EventAggregate = eventAggregate(meanIntervalOf)

/** Slope of the values over time by least squares, for each `per` milliseconds; null where all events are of one instant. */
export const trend = <Value>(
  source: Contract<Value>,
  input: FeatureInput<Value>,
  window: FeatureWindow<Value> & { readonly per: DurationMs },
): WindowedFeature => windowed(trendOf(window.per), source, input, window)

/** Exponentially smoothed mean in event order: each value takes the share `alpha` of the mean. */
export const smoothedMean = <Value>(
  source: Contract<Value>,
  input: FeatureInput<Value>,
  window: FeatureWindow<Value> & { readonly alpha: number },
): WindowedFeature => windowed(smoothedMeanOf(window.alpha), source, input, window)

/** Number of events, each worth half as much after every half-life. */
export const decayedCount = <Value>(
  source: Contract<Value>,
  window: FeatureWindow<Value> & { readonly halfLife: DurationMs },
): WindowedFeature => windowed(decayedCountOf(window.halfLife), source, undefined, window)

/** Sum of values, each worth half as much after every half-life. */
export const decayedSum = <Value>(
  source: Contract<Value>,
  input: FeatureInput<Value>,
  window: FeatureWindow<Value> & { readonly halfLife: DurationMs },
): WindowedFeature => windowed(decayedSumOf(window.halfLife), source, input, window)

/** Mean of values, each with half the weight after every half-life. */
export const decayedMean = <Value>(
  source: Contract<Value>,
  input: FeatureInput<Value>,
  window: FeatureWindow<Value> & { readonly halfLife: DurationMs },
): WindowedFeature => windowed(decayedMeanOf(window.halfLife), source, input, window)

/** Share of events whose input is 1 (or true), drawn to a prior: few events say little. */
export const rate = <Value>(
  source: Contract<Value>,
  input: FeatureInput<Value>,
  window: FeatureWindow<Value> & { readonly prior: RatePrior },
): WindowedFeature => windowed(rateOf(window.prior), source, input, window)
