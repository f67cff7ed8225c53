import { normalBelow, studentBelow } from '../statistics/distributions.ts'
import { deviationOf, meanOf } from './binning.ts'
import type { TestResult } from './count-tests.ts'

/** Student's test of two means, equal variances assumed, two-sided. */
export function studentTest(left: ArrayLike<number>, right: ArrayLike<number>): TestResult {
  const degrees = left.length + right.length - 2
  const [leftMean, rightMean] = [meanOf(left), meanOf(right)]
  const squares = (values: ArrayLike<number>, mean: number) => deviationOf(values, mean) ** 2 * values.length
  const variance = (squares(left, leftMean) + squares(right, rightMean)) / degrees
  const statistic = (leftMean - rightMean) / Math.sqrt(variance * (1 / left.length + 1 / right.length))
  return { statistic, pValue: 2 * studentBelow(-Math.abs(statistic), degrees) }
}

/** A sample of few values is compared exactly, if none occurs twice. */
const exactLimit = 8

/**
 * The rank test of Mann and Whitney: in how many pairs the left value is the
 * larger, ties counting half. Exact where one sample has 8 values or fewer
 * and none are tied, else by the normal approximation with corrections for
 * ties and for continuity.
 *
 * `less` asks whether the left values tend to be the smaller ones.
 *
 * Source: Mann and Whitney, Annals of Mathematical Statistics 1947.
 */
export function mannWhitney(
  left: ArrayLike<number>,
  right: ArrayLike<number>,
  alternative: 'two-sided' | 'less' | 'greater' = 'two-sided',
): TestResult {
  const [m, n] = [left.length, right.length]
  const { rankSum, ties } = ranksOf(left, right)
  const statistic = rankSum - (m * (m + 1)) / 2
  const mirrored = m * n - statistic
  const tested =
    alternative === 'greater' ? statistic : alternative === 'less' ? mirrored : Math.max(statistic, mirrored)
  const sides = alternative === 'two-sided' ? 2 : 1
  if (Math.min(m, n) <= exactLimit && ties === 0) {
    return { statistic, pValue: Math.min(1, sides * exactAbove(tested, m, n)) }
  }
  const total = m + n
  const deviation = Math.sqrt(((m * n) / 12) * (total + 1 - ties / (total * (total - 1))))
  const z = (tested - (m * n) / 2 - 0.5) / deviation
  return { statistic, pValue: Math.min(1, sides * normalBelow(-z)) }
}

/** Sum of the left sample's ranks from 1, ties sharing their middle, and the sum of t^3 - t over groups of t. */
function ranksOf(left: ArrayLike<number>, right: ArrayLike<number>): { rankSum: number; ties: number } {
  const all = [
    ...Array.from(left, (value) => ({ value, isLeft: true })),
    ...Array.from(right, (value) => ({ value, isLeft: false })),
  ].sort((a, b) => a.value - b.value)
  let rankSum = 0
  let ties = 0
  for (let from = 0; from < all.length; ) {
    let to = from
    let lefts = 0
    while (to < all.length && all[to]!.value === all[from]!.value) if (all[to++]!.isLeft) lefts++
    const size = to - from
    rankSum += lefts * ((from + 1 + to) / 2)
    ties += size ** 3 - size
    from = to
  }
  return { rankSum, ties }
}

/** Chance of this many pairs or more: the orders of m and n values counted by their pairs, largest value first. */
function exactAbove(statistic: number, m: number, n: number): number {
  // shares[i][u]: of all orders of i left and j right values, those with u pairs.
  let shares: Float64Array[] = Array.from({ length: m + 1 }, () => Float64Array.of(1))
  for (let j = 1; j <= n; j++) {
    const next: Float64Array[] = [Float64Array.of(1)]
    for (let i = 1; i <= m; i++) {
      const row = new Float64Array(i * j + 1)
      // The largest value is a left one and tops all j right ones, or a right one and adds no pair.
      next[i - 1]!.forEach((share, pairs) => {
        row[pairs + j] = row[pairs + j]! + (share * i) / (i + j)
      })
      shares[i]!.forEach((share, pairs) => {
        row[pairs] = row[pairs]! + (share * j) / (i + j)
      })
      next.push(row)
    }
    shares = next
  }
  return shares[m]!.reduce((sum, share, pairs) => (pairs >= statistic ? sum + share : sum), 0)
}
