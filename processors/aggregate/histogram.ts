import type { ObjectAggregate } from './aggregate.ts'
import { StateReader } from './state-reader.ts'

/** Counts, one for each bin. */
export type HistogramState = Float64Array

export type Histogram = ObjectAggregate<number | null | undefined, HistogramState, number[]>

/**
 * Number of values in each bin between fixed, ascending edges:
 *
 *     below e0 | [e0, e1) | [e1, e2) | … | from the last edge
 *
 * One bin more than edges, so no value is lost; null, NaN and infinities are
 * left out. Null where there were none. State: a small count for each bin,
 * 1 to 8 bytes written.
 *
 * @throws RangeError for no edges, or edges that are not finite and ascending.
 */
export function histogram(edges: readonly number[]): Histogram {
  const bins = edges.length + 1
  if (bins < 2) throw new RangeError('a histogram needs at least one edge')
  for (const [index, edge] of edges.entries()) {
    if (!Number.isFinite(edge) || (index > 0 && !(edge > edges[index - 1]!))) {
      throw new RangeError(`edges must be finite and ascending, got ${edges.join(', ')}`)
    }
  }
  const change = (state: HistogramState, input: number | null | undefined, by: number): HistogramState => {
    if (Number.isFinite(input)) state[binOf(edges, input as number)]! += by
    return state
  }
  return {
    kind: 'object',
    name: 'histogram',
    id: `histogram(${edges.join(',')})`,
    laws: { orderInsensitive: true, invertible: true },
    init: () => new Float64Array(bins),
    add: (state, input) => change(state, input, 1),
    remove: (state, input) => change(state, input, -1),
    merge: (older, newer) => older.map((count, bin) => count + newer[bin]!),
    finish: (state) => (state.every((count) => count === 0) ? null : [...state]),
    write(state, out) {
      for (const count of state) out.varint(count)
    },
    read(bytes) {
      const from = new StateReader(bytes)
      return Float64Array.from({ length: bins }, () => from.varint())
    },
  }
}

/** Number of edges at or below the value. */
function binOf(edges: readonly number[], value: number): number {
  let low = 0
  let high = edges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (edges[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}
