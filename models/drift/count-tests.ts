import { chiSquareAbove } from '../statistics/gamma-above.ts'
import { logGamma } from '../statistics/special-functions.ts'

/** What a test found, and the chance of as much or more where nothing has changed. */
export interface TestResult {
  readonly statistic: number
  readonly pValue: number
}

/**
 * Pearson's chi-square of the current counts against the reference's shares,
 * taken as known. A category that only the current counts have makes the
 * statistic infinite; one that neither has is left out.
 */
export function chiSquareTest(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
): TestResult & { readonly degrees: number } {
  return against(reference, current, (found, expected) => (found - expected) ** 2 / expected)
}

/** The likelihood ratio in place of the squares. Source: Wilks, Annals of Mathematical Statistics 1938. */
export function gTest(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
): TestResult & { readonly degrees: number } {
  return against(reference, current, (found, expected) =>
    found === 0 ? 0 : 2 * found * Math.log(found / expected),
  )
}

/**
 * Chi-square of the two rows of counts as samples of one distribution: both
 * are uncertain. Categories that neither has are left out.
 */
export function homogeneityTest(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
): TestResult & { readonly degrees: number } {
  const [left, right] = [sumOf(reference), sumOf(current)]
  const total = left + right
  let statistic = 0
  let kinds = 0
  for (let index = 0; index < reference.length; index++) {
    const both = reference[index]! + current[index]!
    if (both === 0) continue
    kinds++
    for (const [found, row] of [
      [reference[index]!, left],
      [current[index]!, right],
    ] as const) {
      const expected = (both * row) / total
      if (expected > 0) statistic += (found - expected) ** 2 / expected
    }
  }
  return concluded(statistic, kinds - 1)
}

/**
 * Fisher's exact test of a two-by-two table, two-sided: the chance of all
 * tables of the same sums that are no likelier than this one.
 */
export function fisherExact(table: readonly [readonly [number, number], readonly [number, number]]): number {
  const [[a, b], [c, d]] = table
  const row = a + b
  const column = a + c
  const total = row + c + d
  const chance = (value: number) =>
    Math.exp(logChoose(column, value) + logChoose(total - column, row - value) - logChoose(total, row))
  const limit = chance(a) * (1 + 1e-7)
  let sum = 0
  for (let value = Math.max(0, row + column - total); value <= Math.min(row, column); value++) {
    const each = chance(value)
    if (each <= limit) sum += each
  }
  return Math.min(1, sum)
}

function against(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
  term: (found: number, expected: number) => number,
): TestResult & { readonly degrees: number } {
  const scale = sumOf(current) / sumOf(reference)
  let statistic = 0
  let kinds = 0
  for (let index = 0; index < reference.length; index++) {
    const found = current[index]!
    const expected = reference[index]! * scale
    if (found === 0 && expected === 0) continue
    kinds++
    statistic += term(found, expected)
  }
  return concluded(statistic, kinds - 1)
}

const concluded = (statistic: number, degrees: number) => ({
  statistic,
  degrees,
  pValue: degrees < 1 ? 1 : chiSquareAbove(statistic, degrees),
})

function sumOf(counts: ArrayLike<number>): number {
  let sum = 0
  for (let index = 0; index < counts.length; index++) sum += counts[index]!
  return sum
}

const logChoose = (from: number, count: number): number =>
  logGamma(from + 1) - logGamma(count + 1) - logGamma(from - count + 1)
