import type { Contract } from '../../state/contracts/contract.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import type { ColumnAggregate } from '../aggregate/aggregate.ts'
import { count as countOf } from '../aggregate/count.ts'
import { decayedCount as decayedCountOf } from '../aggregate/decayed-count.ts'
import { decayedMean as decayedMeanOf } from '../aggregate/decayed-mean.ts'
import { decayedSum as decayedSumOf } from '../aggregate/decayed-sum.ts'
import { first as firstOf } from '../aggregate/first.ts'
import { last as lastOf } from '../aggregate/last.ts'
import { max as maxOf } from '../aggregate/max.ts'
import { mean as meanOf } from '../aggregate/mean.ts'
import { min as minOf } from '../aggregate/min.ts'
import { type RatePrior, rate as rateOf } from '../aggregate/rate.ts'
import { sum as sumOf } from '../aggregate/sum.ts'
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

/** Number of events; an empty window is 0. */
export function count(): ColumnAggregate
export function count<Value>(source: Contract<Value>, window: FeatureWindow<Value>): WindowedFeature
export function count<Value>(
  source?: Contract<Value>,
  window?: FeatureWindow<Value>,
): ColumnAggregate | WindowedFeature {
  return source === undefined || window === undefined
    ? countOf()
    : windowed(countOf(), source, undefined, window)
}

export const sum: FieldAggregate = fieldAggregate(sumOf)
export const mean: FieldAggregate = fieldAggregate(meanOf)
export const min: FieldAggregate = fieldAggregate(minOf)
export const max: FieldAggregate = fieldAggregate(maxOf)
/** The value of the earliest event of the window; of several at once, of the one that came first. */
export const first: FieldAggregate = fieldAggregate(firstOf)
/** The value of the newest event of the window; of several at once, of the one that came last. */
export const last: FieldAggregate = fieldAggregate(lastOf)

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
