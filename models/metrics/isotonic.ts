/** A rising function through the points of `x` and `y`, straight between them and level outside. */
export interface IsotonicFit {
  /** Ascending. */
  readonly x: readonly number[]
  readonly y: readonly number[]
  at(x: number): number
}

/**
 * The rising function that is nearest to the labels in squared error: what
 * turns scores into probabilities. Equal `x` count as one point with the mean
 * of their labels. Points within a level stretch are left out of the result.
 *
 * Source: Ayer et al., "An Empirical Distribution Function for Sampling with
 * Incomplete Information", 1955 (pool adjacent violators).
 *
 * @throws RangeError without a point
 */
export function isotonicFit(
  x: readonly number[],
  y: readonly number[],
  weights: readonly number[] = y.map(() => 1),
): IsotonicFit {
  if (x.length === 0) throw new RangeError('an isotonic fit needs at least one point')
  const points = pointsOf(x, y, weights)
  const pools: { mean: number; weight: number; count: number }[] = []
  for (const { label, weight } of points) {
    let pool = { mean: label, weight, count: 1 }
    for (let last = pools.at(-1); last !== undefined && last.mean >= pool.mean; last = pools.at(-1)) {
      pools.pop()
      const total = last.weight + pool.weight
      pool = {
        mean: (last.mean * last.weight + pool.mean * pool.weight) / total,
        weight: total,
        count: last.count + pool.count,
      }
    }
    pools.push(pool)
  }
  const levels = pools.flatMap(({ mean, count }) => Array<number>(count).fill(mean))
  const kept = levels.flatMap((level, index) =>
    level === levels[index - 1] && level === levels[index + 1] ? [] : [index],
  )
  const xs = kept.map((index) => points[index]!.x)
  const ys = kept.map((index) => levels[index]!)
  return { x: xs, y: ys, at: (query) => interpolated(xs, ys, query) }
}

function pointsOf(x: readonly number[], y: readonly number[], weights: readonly number[]) {
  const order = x.map((_, index) => index).sort((left, right) => x[left]! - x[right]!)
  const points: { readonly x: number; label: number; weight: number }[] = []
  for (const index of order) {
    const last = points.at(-1)
    const weight = weights[index]!
    if (last === undefined || last.x !== x[index]) {
      points.push({ x: x[index]!, label: y[index]!, weight })
      continue
    }
    const total = last.weight + weight
    last.label = (last.label * last.weight + y[index]! * weight) / total
    last.weight = total
  }
  return points
}

function interpolated(xs: readonly number[], ys: readonly number[], query: number): number {
  if (query <= xs[0]!) return ys[0]!
  if (query >= xs.at(-1)!) return ys.at(-1)!
  const next = xs.findIndex((each) => each > query)
  const [x0, x1] = [xs[next - 1]!, xs[next]!]
  const [y0, y1] = [ys[next - 1]!, ys[next]!]
  return y0 + ((y1 - y0) / (x1 - x0)) * (query - x0)
}
