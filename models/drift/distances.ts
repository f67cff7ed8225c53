/*
 * Distances between two distributions over the same bins or categories, both
 * given as shares. Infinite where a logarithm meets an empty bin: fill them
 * first, see `fillEmpty` and `smoothed`.
 */

/** Counts as shares of their sum; all 0 where nothing was counted. */
export function sharesOf(counts: ArrayLike<number>): Float64Array {
  let total = 0
  for (let index = 0; index < counts.length; index++) total += counts[index]!
  return Float64Array.from(counts, (count) => (total > 0 ? count / total : 0))
}

/**
 * Shares with a small one in each empty bin: 0.0001, or a millionth of the
 * least where that is no larger. They are not scaled back to a sum of 1, as
 * in the library Evidently.
 */
export function fillEmpty(shares: Float64Array): Float64Array {
  const least = shares.reduce((low, share) => (share > 0 && share < low ? share : low), Infinity)
  const filler = least <= 0.0001 ? least / 1e6 : 0.0001
  return shares.map((share) => (share === 0 ? filler : share))
}

/** Shares of counts that each got `extra` added: no bin is empty, and they still sum to 1. */
export const smoothed = (counts: ArrayLike<number>, extra = 0.5): Float64Array =>
  sharesOf(Float64Array.from(counts, (count) => count + extra))

/** Population stability index: the sum of (p - q) ln(p / q). Below 0.1 is often called stable, above 0.2 shifted. */
export function populationStability(reference: Float64Array, current: Float64Array): number {
  return sumOver(reference, current, (p, q) => (p === q ? 0 : (p - q) * Math.log(p / q)))
}

/** Kullback-Leibler divergence of the reference from the current shares in nats, both scaled to a sum of 1. */
export function kullbackLeibler(reference: Float64Array, current: Float64Array): number {
  return sumOver(sharesOf(reference), sharesOf(current), relativeEntropy)
}

/**
 * Jensen-Shannon distance: the root of the divergence of both from their
 * middle. At most 1 in base 2, and the root of ln 2 in base e, the default.
 *
 * Source: Endres and Schindelin, "A New Metric for Probability
 * Distributions", IEEE Transactions on Information Theory 2003.
 */
export function jensenShannon(reference: Float64Array, current: Float64Array, base = Math.E): number {
  const left = sharesOf(reference)
  const right = sharesOf(current)
  const divergence = sumOver(left, right, (p, q) => {
    const middle = (p + q) / 2
    return relativeEntropy(p, middle) + relativeEntropy(q, middle)
  })
  return Math.sqrt(Math.max(0, divergence / 2 / Math.log(base)))
}

/** Hellinger distance, from 0 to 1 where no bin is in both. */
export function hellinger(reference: Float64Array, current: Float64Array): number {
  const squares = sumOver(reference, current, (p, q) => (Math.sqrt(p) - Math.sqrt(q)) ** 2)
  return Math.sqrt(squares / 2)
}

/** The largest difference of a share. */
export function largestDifference(reference: Float64Array, current: Float64Array): number {
  return reference.reduce((most, p, index) => Math.max(most, Math.abs(p - current[index]!)), 0)
}

const relativeEntropy = (p: number, q: number): number => (p === 0 ? 0 : p * Math.log(p / q))

function sumOver(
  left: Float64Array,
  right: Float64Array,
  term: (left: number, right: number) => number,
): number {
  if (left.length !== right.length) {
    throw new RangeError(`shares of ${left.length} and of ${right.length} bins cannot be compared`)
  }
  let sum = 0
  for (let index = 0; index < left.length; index++) sum += term(left[index]!, right[index]!)
  return sum
}
