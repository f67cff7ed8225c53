type Vectors = readonly (readonly number[])[]

/** Squared maximum mean discrepancy of two samples of vectors. */
export interface MeanDiscrepancy {
  /** May be negative; its mean is 0 where nothing differs. Needs two vectors in each sample. */
  readonly unbiased: number
  readonly biased: number
}

/**
 * How far two samples of vectors are apart under the kernel
 * exp(-|x - y|^2 / (2 sigma^2)): it sees changes that no single column shows.
 * The cost is the square of the number of vectors.
 *
 * Source: Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.
 */
export function meanDiscrepancy(left: Vectors, right: Vectors, sigma: number): MeanDiscrepancy {
  const kernel = (x: readonly number[], y: readonly number[]) =>
    Math.exp(-squaredDistance(x, y) / (2 * sigma * sigma))
  const sumOver = (xs: Vectors, ys: Vectors) =>
    xs.reduce((total, x) => total + ys.reduce((sum, y) => sum + kernel(x, y), 0), 0)
  const [m, n] = [left.length, right.length]
  const [within, beyond, between] = [sumOver(left, left), sumOver(right, right), sumOver(left, right)]
  const cross = (2 * between) / (m * n)
  return {
    // A vector is at distance 0 from itself, where the kernel is 1.
    unbiased: (within - m) / (m * (m - 1)) + (beyond - n) / (n * (n - 1)) - cross,
    biased: within / (m * m) + beyond / (n * n) - cross,
  }
}

/** A width for the kernel: the root of half the median squared distance between the samples, the lower one of two. */
export function medianWidth(left: Vectors, right: Vectors): number {
  const distances = Float64Array.from(left.flatMap((x) => right.map((y) => squaredDistance(x, y)))).sort()
  return Math.sqrt(distances[Math.max(0, Math.floor(distances.length / 2) - 1)]! / 2)
}

const squaredDistance = (x: readonly number[], y: readonly number[]): number =>
  x.reduce((sum, value, index) => sum + (value - y[index]!) ** 2, 0)
