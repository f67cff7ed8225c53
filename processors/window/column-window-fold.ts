import type { ColumnAggregate } from '../aggregate/aggregate.ts'
import type { WindowFold } from './window.ts'

/**
 * An aggregate of numbers as the fold of a stream's windows: the same columns
 * as in a feature's tiles, one row a window. null, NaN and infinities are left
 * out.
 */
export function windowFold(
  aggregate: ColumnAggregate,
): WindowFold<number | boolean | null | undefined, Float64Array, number> {
  const places: number[] = []
  let width = 0
  for (const fold of aggregate.folds) {
    places.push(width)
    width += fold.width
  }
  return {
    init() {
      const row = new Float64Array(width)
      for (const [index, fold] of aggregate.folds.entries()) fold.init(row, places[index]!)
      return row
    },
    add(row, input, atMs) {
      const value = input === null || input === undefined ? Number.NaN : Number(input)
      if (!Number.isFinite(value)) return row
      for (const [index, fold] of aggregate.folds.entries()) fold.add(row, places[index]!, value, atMs)
      return row
    },
    merge(older, newer) {
      const row = older.slice()
      for (const [index, fold] of aggregate.folds.entries()) {
        fold.mergeRows(row, places[index]!, newer, places[index]!, width, 1)
      }
      return row
    },
    finish(row, queryMs) {
      const value = aggregate.finish(row, places, queryMs)
      return Number.isFinite(value) ? value : null
    },
  }
}
