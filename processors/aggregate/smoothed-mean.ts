import type { ColumnAggregate, ColumnFold } from './aggregate.ts'

/**
 * Exponential smoothing, as the line that it is in the mean before:
 * mean after = keep · mean before + gain.
 * Columns: [keep, gain, first value]; [1, 0, 0] where there was no value.
 *
 * Lines composed are a line, so states merge. Nothing stands before the first
 * value, so the mean before is taken to be that value.
 */
export function smoothedFold(alpha: number): ColumnFold {
  return {
    id: `smoothed(${alpha})`,
    width: 3,
    init(columns, at) {
      columns[at] = 1
      columns[at + 1] = 0
      columns[at + 2] = 0
    },
    add(columns, at, value) {
      if (columns[at] === 1) columns[at + 2] = value
      columns[at]! *= 1 - alpha
      columns[at + 1] = columns[at + 1]! * (1 - alpha) + alpha * value
    },
    mergeRows(into, at, rows, from, stride, count) {
      const end = from + count * stride
      for (let row = from; row < end; row += stride) {
        const keep = rows[row]!
        if (keep === 1) continue
        if (into[at] === 1) into[at + 2] = rows[row + 2]!
        into[at]! *= keep
        into[at + 1] = into[at + 1]! * keep + rows[row + 1]!
      }
    },
  }
}

/**
 * Exponentially smoothed mean, by events and not by time: each value counts
 * `alpha`, what was before 1 - alpha; the first value counts whole. `alpha` is
 * in (0, 1]; at least 2^-50, below which a value would not be seen. Null where
 * there were none. Depends on the order of arrival within a tile.
 */
export function smoothedMean(alpha: number): ColumnAggregate {
  if (!(alpha >= 2 ** -50 && alpha <= 1)) {
    throw new RangeError(`alpha must be in [2^-50, 1], got ${alpha}`)
  }
  return {
    kind: 'columns',
    name: 'smoothedMean',
    folds: [smoothedFold(alpha)],
    laws: { orderInsensitive: false, invertible: false },
    finish(columns, at) {
      const from = at[0]!
      const keep = columns[from]!
      return keep === 1 ? Number.NaN : columns[from + 1]! + keep * columns[from + 2]!
    },
  }
}
