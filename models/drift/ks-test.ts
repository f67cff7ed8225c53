import { kolmogorovAbove } from './kolmogorov.ts'

/** Largest distance between the distributions of two sorted samples; 0 where one is empty. */
export function ksStatistic(left: Float64Array, right: Float64Array): number {
  const counts = [left.length, right.length] as const
  if (counts[0] === 0 || counts[1] === 0) return 0
  let i = 0
  let j = 0
  let largest = 0
  while (i < counts[0] && j < counts[1]) {
    const value = Math.min(left[i]!, right[j]!)
    while (i < counts[0] && left[i] === value) i++
    while (j < counts[1] && right[j] === value) j++
    largest = Math.max(largest, Math.abs(i / counts[0] - j / counts[1]))
  }
  return largest
}

/**
 * Chance of a distance this large or larger between two samples of one
 * continuous distribution: the share of lattice paths from (0, 0) to
 * (leftCount, rightCount) that leave the band. Exact; the cost is the product
 * of the counts.
 *
 * Source: Hodges, "The Significance Probability of the Smirnov Two-Sample
 * Test", Arkiv för Matematik 1958.
 */
export function ksPvalueExact(statistic: number, leftCount: number, rightCount: number): number {
  const limit = Math.round(statistic * leftCount * rightCount)
  // Distances are whole multiples of this; half of one keeps rounding out.
  if (limit <= 0) return 1
  const shares = new Float64Array(rightCount + 1)
  for (let i = 0; i <= leftCount; i++) {
    for (let j = 0; j <= rightCount; j++) {
      if (Math.abs(i * rightCount - j * leftCount) >= limit - 0.5) shares[j] = 1
      else if (i + j === 0) shares[j] = 0
      else shares[j] = ((i === 0 ? 0 : i * shares[j]!) + (j === 0 ? 0 : j * shares[j - 1]!)) / (i + j)
    }
  }
  return shares[rightCount]!
}

/** The same by the one-sample distribution of the effective count, rounded: quick, and close for large samples. */
export function ksPvalue(statistic: number, leftCount: number, rightCount: number): number {
  const effective = Math.round((leftCount * rightCount) / (leftCount + rightCount))
  return kolmogorovAbove(statistic, Math.max(1, effective))
}
