import type { Aggregate } from '../../processors/aggregate/aggregate.ts'
import { approximateDistinct } from '../../processors/aggregate/approximate-distinct.ts'
import { bottomK } from '../../processors/aggregate/bottom-k.ts'
import { bucketBy } from '../../processors/aggregate/bucket-by.ts'
import { count } from '../../processors/aggregate/count.ts'
import { correlation, covariance, slope } from '../../processors/aggregate/covariance.ts'
import { decayedCount } from '../../processors/aggregate/decayed-count.ts'
import { decayedMean } from '../../processors/aggregate/decayed-mean.ts'
import { decayedSum } from '../../processors/aggregate/decayed-sum.ts'
import { distinctCount } from '../../processors/aggregate/distinct-count.ts'
import { distinctValues } from '../../processors/aggregate/distinct-values.ts'
import { meanInterval, timeSinceFirst, timeSinceLast } from '../../processors/aggregate/event-times.ts'
import { first } from '../../processors/aggregate/first.ts'
import { firstK } from '../../processors/aggregate/first-k.ts'
import { frequentValues } from '../../processors/aggregate/frequent-values.ts'
import { histogram } from '../../processors/aggregate/histogram.ts'
import { interactedWith } from '../../processors/aggregate/interacted-with.ts'
import { kurtosis } from '../../processors/aggregate/kurtosis.ts'
import { last } from '../../processors/aggregate/last.ts'
import { lastK } from '../../processors/aggregate/last-k.ts'
import { max } from '../../processors/aggregate/max.ts'
import { mean } from '../../processors/aggregate/mean.ts'
import { min } from '../../processors/aggregate/min.ts'
import { quantile, quantiles } from '../../processors/aggregate/quantiles.ts'
import { range } from '../../processors/aggregate/range.ts'
import { rate } from '../../processors/aggregate/rate.ts'
import { skew } from '../../processors/aggregate/skew.ts'
import { smoothedMean } from '../../processors/aggregate/smoothed-mean.ts'
import { standardDeviation } from '../../processors/aggregate/standard-deviation.ts'
import { standardError } from '../../processors/aggregate/standard-error.ts'
import { sum } from '../../processors/aggregate/sum.ts'
import { topK } from '../../processors/aggregate/top-k.ts'
import { trend } from '../../processors/aggregate/trend.ts'
import { variance } from '../../processors/aggregate/variance.ts'
import { vectorMean } from '../../processors/aggregate/vector-mean.ts'

/** What an event holds for an aggregate. */
export type InputKind = 'number' | 'category' | 'pair' | 'vector' | 'bucketed'

export interface ListedAggregate {
  /** As it is exported for features. */
  readonly name: string
  /** One of ordinary size: for benches, and for the laws that it declares. */
  readonly aggregate: Aggregate
  readonly input: InputKind
}

/** Components of the vectors that `vectorMean` is listed with. */
export const vectorDimension = 16

const halfLifeMs = 3_600_000

/** Every aggregate that a feature can be made of, in the order of the table of laws. */
export const listedAggregates: readonly ListedAggregate[] = [
  { name: 'count', aggregate: count(), input: 'number' },
  { name: 'sum', aggregate: sum(), input: 'number' },
  { name: 'mean', aggregate: mean(), input: 'number' },
  { name: 'min', aggregate: min(), input: 'number' },
  { name: 'max', aggregate: max(), input: 'number' },
  { name: 'first', aggregate: first(), input: 'number' },
  { name: 'last', aggregate: last(), input: 'number' },
  { name: 'range', aggregate: range(), input: 'number' },
  { name: 'rate', aggregate: rate({ successes: 1, trials: 4 }), input: 'number' },
  { name: 'variance', aggregate: variance(), input: 'number' },
  { name: 'standardDeviation', aggregate: standardDeviation(), input: 'number' },
  { name: 'standardError', aggregate: standardError(), input: 'number' },
  { name: 'skew', aggregate: skew(), input: 'number' },
  { name: 'kurtosis', aggregate: kurtosis(), input: 'number' },
  { name: 'trend', aggregate: trend(3_600_000), input: 'number' },
  { name: 'smoothedMean', aggregate: smoothedMean(0.1), input: 'number' },
  { name: 'decayedCount', aggregate: decayedCount(halfLifeMs), input: 'number' },
  { name: 'decayedSum', aggregate: decayedSum(halfLifeMs), input: 'number' },
  { name: 'decayedMean', aggregate: decayedMean(halfLifeMs), input: 'number' },
  { name: 'timeSinceLast', aggregate: timeSinceLast(), input: 'number' },
  { name: 'timeSinceFirst', aggregate: timeSinceFirst(), input: 'number' },
  { name: 'meanInterval', aggregate: meanInterval(), input: 'number' },
  { name: 'firstK', aggregate: firstK(10), input: 'category' },
  { name: 'lastK', aggregate: lastK(10), input: 'category' },
  { name: 'topK', aggregate: topK(10), input: 'category' },
  { name: 'bottomK', aggregate: bottomK(10), input: 'category' },
  { name: 'distinctCount', aggregate: distinctCount(100), input: 'category' },
  { name: 'distinctValues', aggregate: distinctValues({ bound: 100 }), input: 'category' },
  { name: 'approximateDistinct', aggregate: approximateDistinct(), input: 'category' },
  { name: 'frequentValues', aggregate: frequentValues({ k: 10 }), input: 'category' },
  {
    name: 'interactedWith',
    aggregate: interactedWith({ withinMs: 3_600_000, bound: 100 }),
    input: 'category',
  },
  { name: 'histogram', aggregate: histogram([0, 1, 10, 100]), input: 'number' },
  { name: 'quantile', aggregate: quantile(0.5), input: 'number' },
  { name: 'quantiles', aggregate: quantiles([0.5, 0.9, 0.99]), input: 'number' },
  { name: 'covariance', aggregate: covariance(), input: 'pair' },
  { name: 'correlation', aggregate: correlation(), input: 'pair' },
  { name: 'slope', aggregate: slope(), input: 'pair' },
  { name: 'vectorMean', aggregate: vectorMean(vectorDimension), input: 'vector' },
  { name: 'bucketBy', aggregate: bucketBy(mean(), { bound: 100 }), input: 'bucketed' },
]

/**
 * The listed aggregate that one of this name is a variant of: with a prior, of
 * a population, by category. Undefined where the list has none.
 */
export function listedOf(name: string): ListedAggregate | undefined {
  const plain = name.endsWith('ByCategory')
    ? 'bucketBy'
    : name.replace(/^population./, (text) => text.slice(-1).toLowerCase())
  return listedAggregates.find((each) => each.name === plain)
}
