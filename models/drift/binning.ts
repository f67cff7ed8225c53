/** Even bins from the least to the largest value: the edges, one more than bins. Half a unit around a single value. */
function evenEdges(least: number, most: number, bins: number): Float64Array {
  const [from, to] = least === most ? [least - 0.5, most + 0.5] : [least, most]
  const step = (to - from) / bins
  const edges = Float64Array.from({ length: bins + 1 }, (_, index) => index * step + from)
  edges[bins] = to
  return edges
}

/**
 * Edges of ceil(log2 n + 1) even bins over the values.
 *
 * Source: Sturges, "The Choice of a Class Interval", JASA 1926.
 */
export function sturgesEdges(values: ArrayLike<number>): Float64Array {
  return edgesOfWidth(values, (range, count) => range / (Math.log2(count) + 1))
}

/**
 * Sturges's bins and more where the values are skewed.
 *
 * Source: Doane, "Aesthetic Frequency Classifications", The American
 * Statistician 1976.
 */
export function doaneEdges(values: ArrayLike<number>): Float64Array {
  return edgesOfWidth(values, (range, count) => {
    if (count < 3) return 0
    const mean = meanOf(values)
    const deviation = deviationOf(values, mean)
    if (!(deviation > 0)) return 0
    let cubes = 0
    for (let index = 0; index < count; index++) cubes += ((values[index]! - mean) / deviation) ** 3
    const spread = Math.sqrt((6 * (count - 2)) / ((count + 1) * (count + 3)))
    return range / (1 + Math.log2(count) + Math.log2(1 + Math.abs(cubes / count) / spread))
  })
}

/** How many values lie in each bin `[edge, next)`, the last one closed; values outside are counted nowhere. */
export function histogramOf(values: ArrayLike<number>, edges: Float64Array): Float64Array {
  const counts = new Float64Array(edges.length - 1)
  for (let index = 0; index < values.length; index++) {
    const bin = binOf(values[index]!, edges)
    if (bin >= 0) counts[bin] = counts[bin]! + 1
  }
  return counts
}

/** The bin of a value, -1 outside of all and for NaN. */
export function binOf(value: number, edges: Float64Array): number {
  const last = edges.length - 1
  if (!(value >= edges[0]! && value <= edges[last]!)) return -1
  let low = 0
  let high = last
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (value >= edges[middle]!) low = middle
    else high = middle
  }
  return low
}

export function meanOf(values: ArrayLike<number>): number {
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += values[index]!
  return sum / values.length
}

/** Standard deviation around a mean, over n - `less`. */
export function deviationOf(values: ArrayLike<number>, mean: number, less = 0): number {
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += (values[index]! - mean) ** 2
  return Math.sqrt(sum / (values.length - less))
}

function edgesOfWidth(
  values: ArrayLike<number>,
  widthOf: (range: number, count: number) => number,
): Float64Array {
  if (values.length === 0) throw new RangeError('bins need values')
  let least = Infinity
  let most = -Infinity
  for (let index = 0; index < values.length; index++) {
    least = Math.min(least, values[index]!)
    most = Math.max(most, values[index]!)
  }
  const width = widthOf(most - least, values.length)
  return evenEdges(least, most, width > 0 ? Math.ceil((most - least) / width) : 1)
}
