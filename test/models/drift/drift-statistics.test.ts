import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { homogeneityTest } from '../../../models/drift/count-tests.ts'
import { hellinger, jensenShannon, populationStability, smoothed } from '../../../models/drift/distances.ts'
import { kolmogorovAbove } from '../../../models/drift/kolmogorov.ts'
import { ksPvalueExact, ksStatistic } from '../../../models/drift/ks-test.ts'
import { wasserstein } from '../../../models/drift/wasserstein.ts'

const sample = fc
  .array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 6 })
  .map((values) => Float64Array.from(values).sort())

/** All ways to deal the values to two samples, each as likely as the other. */
function dealings(values: readonly number[], leftCount: number): [number[], number[]][] {
  if (leftCount === 0) return [[[], [...values]]]
  if (values.length < leftCount) return []
  const [first, ...rest] = values as [number, ...number[]]
  return [
    ...dealings(rest, leftCount - 1).map(([l, r]): [number[], number[]] => [[first, ...l], r]),
    ...dealings(rest, leftCount).map(([l, r]): [number[], number[]] => [l, [first, ...r]]),
  ]
}

describe('the test of Kolmogorov and Smirnov', () => {
  test('measures the largest distance between the shares of values at or below a point', () => {
    fc.assert(
      fc.property(sample, sample, (left, right) => {
        const below = (values: Float64Array, at: number) =>
          values.filter((value) => value <= at).length / values.length
        const distances = [...left, ...right].map((at) => Math.abs(below(left, at) - below(right, at)))
        expect(ksStatistic(left, right)).toBeCloseTo(Math.max(...distances), 14)
      }),
    )
  })

  test('gives the chance that dealing the values anew would give, where none are tied', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }), fc.nat(), (m, n, pick) => {
        const all = dealings([...Array(m + n).keys()], m)
        const distances = all.map(([l, r]) => ksStatistic(Float64Array.from(l), Float64Array.from(r)))
        const distance = distances[pick % all.length]!
        const atLeast = distances.filter((each) => each >= distance - 1e-9).length
        expect(ksPvalueExact(distance, m, n)).toBeCloseTo(atLeast / all.length, 12)
      }),
    )
  })

  test('its three methods agree where one takes over from the other', () => {
    // The tail begins at n d^2 = 4 for few values, at 2.2 for more than 140.
    const end = Math.sqrt(4 / 140)
    expect(kolmogorovAbove(end * (1 - 1e-9), 140)).toBeCloseTo(kolmogorovAbove(end * (1 + 1e-9), 140), 6)
    for (const count of [141, 500, 5_000]) {
      const at = Math.sqrt(2.2 / count)
      expect(kolmogorovAbove(at * (1 - 1e-9), count)).toBeCloseTo(kolmogorovAbove(at * (1 + 1e-9), count), 5)
    }
    // n d^1.5 = 1.4 parts the matrix from the series.
    const at = (1.4 / 2_000) ** (2 / 3)
    expect(kolmogorovAbove(at * (1 - 1e-9), 2_000)).toBeCloseTo(kolmogorovAbove(at * (1 + 1e-9), 2_000), 5)
  })
})

test('the distance of Wasserstein is the mean way between values of the same rank', () => {
  const pairs = fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -9, max: 9 })), {
    minLength: 1,
  })
  fc.assert(
    fc.property(pairs, (given) => {
      const left = Float64Array.from(given, ([value]) => value).sort()
      const right = Float64Array.from(given, ([, value]) => value).sort()
      const way = left.reduce((sum, value, index) => sum + Math.abs(value - right[index]!), 0) / left.length
      expect(wasserstein(left, right)).toBeCloseTo(way, 10)
    }),
  )
})

test('distances are 0 between equals and the same both ways', () => {
  const counts = fc.array(fc.tuple(fc.nat(50), fc.nat(50)), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(counts, (pairs) => {
      const left = smoothed(pairs.map(([count]) => count))
      const right = smoothed(pairs.map(([, count]) => count))
      for (const distance of [populationStability, hellinger, jensenShannon]) {
        expect(distance(left, left)).toBeCloseTo(0, 7)
        expect(distance(left, right)).toBeCloseTo(distance(right, left), 12)
      }
    }),
  )
})

test('two rows of equal shares are no sign of a change, and a category of one row alone is', () => {
  expect(homogeneityTest([10, 20, 0], [20, 40, 0])).toEqual({ statistic: 0, degrees: 1, pValue: 1 })
  expect(homogeneityTest([50, 0], [0, 50]).pValue).toBeLessThan(1e-12)
})
