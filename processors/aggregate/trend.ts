import type { DurationMs } from '../../state/contracts/units.ts'
import type { ColumnAggregate, ColumnFold } from './aggregate.ts'

/**
 * Sums of products of value and time about their means.
 * Columns: [count, origin, mean time, mean value, squares of time, products].
 *
 * Times are kept from `origin`, the event time of the state's first value: a
 * mean of times from the epoch would be rounded to a fraction of a
 * millisecond, which is much for events a millisecond apart.
 *
 * Source: P. Pébay, "Formulas for Robust, One-Pass Parallel Computation of
 * Covariances and Arbitrary-Order Statistical Moments", Sandia SAND2008-6212,
 * 2008.
 */
export const trendFold: ColumnFold = {
  id: 'trend',
  width: 6,
  init(columns, at) {
    columns.fill(0, at, at + 6)
  },
  add(columns, at, value, atMs) {
    const count = columns[at]! + 1
    if (count === 1) columns[at + 1] = atMs
    const time = atMs - columns[at + 1]!
    const timeOff = time - columns[at + 2]!
    const valueOff = value - columns[at + 3]!
    const meanTime = columns[at + 2]! + timeOff / count
    columns[at] = count
    columns[at + 2] = meanTime
    columns[at + 3]! += valueOff / count
    columns[at + 4]! += timeOff * (time - meanTime)
    columns[at + 5]! += valueOff * (time - meanTime)
  },
  mergeRows(into, at, rows, from, stride, rowCount) {
    const end = from + rowCount * stride
    for (let row = from; row < end; row += stride) {
      const added = rows[row]!
      if (added === 0) continue
      const before = into[at]!
      if (before === 0) {
        for (let column = 0; column < 6; column++) into[at + column] = rows[row + column]!
        continue
      }
      const total = before + added
      const share = added / total
      const timeOff = rows[row + 1]! - into[at + 1]! + rows[row + 2]! - into[at + 2]!
      const valueOff = rows[row + 3]! - into[at + 3]!
      into[at] = total
      into[at + 2]! += timeOff * share
      into[at + 3]! += valueOff * share
      into[at + 4]! += rows[row + 4]! + timeOff * timeOff * before * share
      into[at + 5]! += rows[row + 5]! + timeOff * valueOff * before * share
    }
  },
}

/**
 * Slope of the least-squares line of value over event time: by how much the
 * value grows in `perMs`, as `trend(hours(1))`. Null where all values are of
 * one instant.
 */
export function trend(perMs: DurationMs): ColumnAggregate {
  if (!(perMs > 0) || !Number.isFinite(perMs)) {
    throw new RangeError(`perMs must be positive and finite, got ${perMs}`)
  }
  return {
    kind: 'columns',
    name: 'trend',
    folds: [trendFold],
    asked: `per ${perMs} ms`,
    laws: { orderInsensitive: true, invertible: false },
    // At one instant this is 0 / 0, the NaN wanted.
    finish: (columns, at) => (columns[at[0]! + 5]! / columns[at[0]! + 4]!) * perMs,
  }
}
