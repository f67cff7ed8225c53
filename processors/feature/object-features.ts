import type { Contract } from '../../state/contracts/contract.ts'
import type { ColumnAggregate, ObjectAggregate } from '../aggregate/aggregate.ts'
import { approximateDistinct as approximateDistinctOf } from '../aggregate/approximate-distinct.ts'
import { bottomK as bottomKOf } from '../aggregate/bottom-k.ts'
import { bucketBy as bucketByOf } from '../aggregate/bucket-by.ts'
import type { CategoryInput } from '../aggregate/category.ts'
import {
  correlation as correlationOf,
  covariance as covarianceOf,
  type NumberPair,
  slope as slopeOf,
} from '../aggregate/covariance.ts'
import { distinctCount as distinctCountOf } from '../aggregate/distinct-count.ts'
import {
  type DistinctValuesOptions,
  distinctValues as distinctValuesOf,
} from '../aggregate/distinct-values.ts'
import { firstK as firstKOf } from '../aggregate/first-k.ts'
import {
  type FrequentValuesOptions,
  frequentValues as frequentValuesOf,
} from '../aggregate/frequent-values.ts'
import { histogram as histogramOf } from '../aggregate/histogram.ts'
import {
  type InteractedWithOptions,
  interactedWith as interactedWithOf,
} from '../aggregate/interacted-with.ts'
import { lastK as lastKOf } from '../aggregate/last-k.ts'
import {
  type QuantileOptions,
  quantile as quantileOf,
  quantiles as quantilesOf,
} from '../aggregate/quantiles.ts'
import { topK as topKOf } from '../aggregate/top-k.ts'
import type { SpreadOptions } from '../aggregate/variance.ts'
import { vectorMean as vectorMeanOf } from '../aggregate/vector-mean.ts'
import { type FeatureWindow, type ObjectFeature, type ObjectInput, windowedObject } from './feature.ts'

/**
 * An aggregate with a state of its own, by name: of an event, what it takes
 * from it, and the window with the aggregate's own parameters.
 */
type ObjectFeatureOf<Input, Options> = <Value>(
  source: Contract<Value>,
  input: ObjectInput<Value, Input>,
  window: FeatureWindow<Value> & Options,
) => ObjectFeature

const objectFeature =
  <Input, State, Output, Options>(
    aggregate: (options: Options) => ObjectAggregate<Input, State, Output>,
  ): ObjectFeatureOf<Input, Options> =>
  (source, input, window) =>
    windowedObject(aggregate(window), source, input, window)

interface ListLength {
  /** Most values in the list. */
  readonly k: number
}

/** The first `k` values in event order: a list. */
export const firstK: ObjectFeatureOf<CategoryInput, ListLength> = objectFeature(({ k }: ListLength) =>
  firstKOf(k),
)
/** The last `k` values, newest first: a list. */
export const lastK: ObjectFeatureOf<CategoryInput, ListLength> = objectFeature(({ k }: ListLength) =>
  lastKOf(k),
)
/** The `k` greatest values, greatest first, numbers before texts: a list. */
export const topK: ObjectFeatureOf<CategoryInput, ListLength> = objectFeature(({ k }: ListLength) =>
  topKOf(k),
)
/** The `k` smallest values, smallest first: a list. */
export const bottomK: ObjectFeatureOf<CategoryInput, ListLength> = objectFeature(({ k }: ListLength) =>
  bottomKOf(k),
)

/** Number of different values, exact below `bound`, which stands for "that many or more". */
export const distinctCount: ObjectFeatureOf<CategoryInput, { readonly bound: number }> = objectFeature(
  ({ bound }: { readonly bound: number }) => distinctCountOf(bound),
)
/** Number of different values, estimated; 2^`precision` bytes of state at most. */
export const approximateDistinct: ObjectFeatureOf<CategoryInput, { readonly precision?: number }> =
  objectFeature(approximateDistinctOf)
/** The different values, at most `bound`, by their time: a list. */
export const distinctValues: ObjectFeatureOf<CategoryInput, DistinctValuesOptions> =
  objectFeature(distinctValuesOf)
/** What the entity interacted with in the last `withinMs`: a list. */
export const interactedWith: ObjectFeatureOf<CategoryInput, InteractedWithOptions> =
  objectFeature(interactedWithOf)
/** The `k` most frequent values with their counts: a list. */
export const frequentValues: ObjectFeatureOf<CategoryInput, FrequentValuesOptions> =
  objectFeature(frequentValuesOf)

/** Number of values in each bin between fixed edges: a list. */
export const histogram: ObjectFeatureOf<number, { readonly edges: readonly number[] }> = objectFeature(
  ({ edges }: { readonly edges: readonly number[] }) =>
    histogramOf(edges) as ObjectAggregate<number, Float64Array, number[]>,
)
/** The value at a share of the sorted values, within a relative error. */
export const quantile: ObjectFeatureOf<number, QuantileOptions & { readonly share: number }> = objectFeature(
  (options: QuantileOptions & { readonly share: number }) => numbersOnly(quantileOf(options.share, options)),
)
/** The values at several shares: a list. */
export const quantiles: ObjectFeatureOf<number, QuantileOptions & { readonly shares: readonly number[] }> =
  objectFeature((options: QuantileOptions & { readonly shares: readonly number[] }) =>
    numbersOnly(quantilesOf(options.shares, options)),
  )

/** Mean of vectors of `dimension` numbers: a list. */
export const vectorMean: ObjectFeatureOf<ArrayLike<number>, { readonly dimension: number }> = objectFeature(
  ({ dimension }: { readonly dimension: number }) =>
    vectorMeanOf(dimension) as ObjectAggregate<ArrayLike<number>, Float64Array, number[]>,
)

/** Covariance of two numbers of an event: `covariance(ride, ['km', 'fare'], window)`. */
export const covariance: ObjectFeatureOf<NumberPair, SpreadOptions> = objectFeature(covarianceOf)
/** Correlation of two numbers of an event, from -1 to 1. */
export const correlation: ObjectFeatureOf<NumberPair, object> = objectFeature((_: object) => correlationOf())
/** How much the second number grows with the first, by least squares. */
export const slope: ObjectFeatureOf<NumberPair, object> = objectFeature((_: object) => slopeOf())

/**
 * An aggregate of numbers for each category: `bucketBy(ride, ['zone', 'fare'],
 * { of: mean(), bound: 50, over })` is a map from category to mean, and the
 * rest beyond `bound` categories.
 */
export const bucketBy: ObjectFeatureOf<
  readonly [category: CategoryInput, input: number | null | undefined],
  { readonly of: ColumnAggregate; readonly bound: number }
> = objectFeature(({ of, bound }: { readonly of: ColumnAggregate; readonly bound: number }) =>
  bucketByOf(of, { bound }),
)

/** The same aggregate: features leave null out before. */
const numbersOnly = <State, Output>(
  aggregate: ObjectAggregate<number | null | undefined, State, Output>,
): ObjectAggregate<number, State, Output> => aggregate
