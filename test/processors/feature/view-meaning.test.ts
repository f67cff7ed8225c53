import { describe, expect, test } from 'vitest'
import { rate as rateOf } from '../../../processors/aggregate/rate.ts'
import type { Feature } from '../../../processors/feature/feature.ts'
import { diffMeanings, meaningOf } from '../../../processors/feature/view-meaning.ts'
import {
  approximateDistinct,
  bottomK,
  bucketBy,
  covariance,
  decayedCount,
  decayedMean,
  decayedSum,
  distinctCount,
  distinctValues,
  event,
  featureView,
  firstK,
  frequentValues,
  histogram,
  hours,
  interactedWith,
  kurtosis,
  lastK,
  quantile,
  quantiles,
  rate,
  skew,
  smoothedMean,
  standardDeviation,
  topK,
  trend,
  variance,
} from '../../../topology/index.ts'

const sale = event(
  'sale',
  { shop: 'string', zone: 'string', price: 'double', cost: 'double', at: 'timestamp' },
  { key: 'shop', time: 'at' },
)
const window = { over: hours(2), hop: hours(1) }
const meaning = (feature: Feature) =>
  meaningOf(
    featureView('shop', { entity: 'shop', owner: 'tests', description: 'sales', features: { feature } }),
  )

const priors = [
  { successes: 1, trials: 2 },
  { successes: 1, trials: 3 },
] as const
/** By aggregate: a feature for each of two values of one of its parameters. */
const parameters: readonly (readonly [name: string, of: (which: 0 | 1) => Feature])[] = [
  ['quantile, share', (which) => quantile(sale, 'price', { ...window, share: [0.5, 0.9][which]! })],
  [
    'quantile, error',
    (which) => quantile(sale, 'price', { ...window, share: 0.5, relativeError: [0.01, 0.02][which]! }),
  ],
  [
    'quantiles, shares',
    (which) => quantiles(sale, 'price', { ...window, shares: [0.5, [0.8, 0.9][which]!] }),
  ],
  ['topK, k', (which) => topK(sale, 'zone', { ...window, k: 3 + which })],
  ['bottomK, k', (which) => bottomK(sale, 'zone', { ...window, k: 3 + which })],
  ['firstK, k', (which) => firstK(sale, 'zone', { ...window, k: 3 + which })],
  ['lastK, k', (which) => lastK(sale, 'zone', { ...window, k: 3 + which })],
  ['frequentValues, k', (which) => frequentValues(sale, 'zone', { ...window, k: 3 + which, counters: 50 })],
  [
    'frequentValues, counters',
    (which) => frequentValues(sale, 'zone', { ...window, k: 3, counters: 50 + which }),
  ],
  ['distinctCount, bound', (which) => distinctCount(sale, 'zone', { ...window, bound: 10 + which })],
  [
    'distinctValues, keep',
    (which) =>
      distinctValues(sale, 'zone', { ...window, bound: 10, keep: (['first', 'last'] as const)[which]! }),
  ],
  [
    'approximateDistinct, precision',
    (which) => approximateDistinct(sale, 'zone', { ...window, precision: 10 + which }),
  ],
  [
    'interactedWith, time',
    (which) => interactedWith(sale, 'zone', { ...window, bound: 10, withinMs: hours(1 + which) }),
  ],
  ['histogram, edges', (which) => histogram(sale, 'price', { ...window, edges: [0, 1 + which] })],
  [
    'covariance, of',
    (which) =>
      covariance(sale, ['price', 'cost'], { ...window, of: (['sample', 'population'] as const)[which]! }),
  ],
  [
    'bucketBy, prior of what it buckets',
    (which) => bucketBy(sale, ['zone', 'price'], { ...window, of: rateOf(priors[which]!), bound: 5 }),
  ],
  [
    'bucketBy, bound',
    (which) => bucketBy(sale, ['zone', 'price'], { ...window, of: rateOf(priors[0]), bound: 5 + which }),
  ],
  ['rate, prior', (which) => rate(sale, 'price', { ...window, prior: priors[which]! })],
  ['trend, unit', (which) => trend(sale, 'price', { ...window, per: hours(1 + which) })],
  ['smoothedMean, alpha', (which) => smoothedMean(sale, 'price', { ...window, alpha: [0.1, 0.2][which]! })],
  ['decayedCount, half-life', (which) => decayedCount(sale, { ...window, halfLife: hours(1 + which) })],
  ['decayedSum, half-life', (which) => decayedSum(sale, 'price', { ...window, halfLife: hours(1 + which) })],
  [
    'decayedMean, half-life',
    (which) => decayedMean(sale, 'price', { ...window, halfLife: hours(1 + which) }),
  ],
  ...Object.entries({ variance, standardDeviation, skew, kurtosis }).map(
    ([name, spread]) =>
      [
        `${name}, of`,
        (which: 0 | 1) =>
          spread(sale, 'price', { ...window, of: (['sample', 'population'] as const)[which]! }),
      ] as const,
  ),
]

describe('the meaning of a feature', () => {
  test.each(parameters)('has the parameter of its aggregate in it: %s', (_, of) => {
    expect(diffMeanings(meaning(of(0)), meaning(of(0))).isAltered).toBe(false)
    expect(diffMeanings(meaning(of(0)), meaning(of(1))).changed).not.toEqual([])
  })
})
