import type { ColumnAggregate, ColumnFold } from './aggregate.ts'

/**
 * What the values stand for. `sample`: a part of more, so that sums of squares
 * are divided by n - 1 and moments are corrected for bias. `population`: all
 * there is, divided by n.
 */
export interface SpreadOptions {
  readonly of?: 'sample' | 'population'
}

/**
 * Sum of squared deviations from the mean, kept about the running mean so that
 * values far from 0 cost no digits. Columns: [count, mean, sum of squares].
 *
 * Source: B. P. Welford, "Note on a Method for Calculating Corrected Sums of
 * Squares and Products", Technometrics 4(3), 1962 (one value); T. F. Chan,
 * G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
 * Computing Sample Variances", Stanford STAN-CS-79-773, 1979 (merge).
 */
export const varianceFold: ColumnFold = {
  id: 'variance',
  width: 3,
  init(columns, at) {
    columns[at] = 0
    columns[at + 1] = 0
    columns[at + 2] = 0
  },
  add(columns, at, value) {
    const count = columns[at]! + 1
    const off = value - columns[at + 1]!
    const mean = columns[at + 1]! + off / count
    columns[at] = count
    columns[at + 1] = mean
    columns[at + 2]! += off * (value - mean)
  },
  mergeRows(into, at, rows, from, stride, rowCount) {
    let count = into[at]!
    let mean = into[at + 1]!
    let squares = into[at + 2]!
    const end = from + rowCount * stride
    for (let row = from; row < end; row += stride) {
      const added = rows[row]!
      if (added === 0) continue
      if (count === 0) {
        count = added
        mean = rows[row + 1]!
        squares = rows[row + 2]!
        continue
      }
      const total = count + added
      const off = rows[row + 1]! - mean
      squares += rows[row + 2]! + off * off * ((count * added) / total)
      mean += off * (added / total)
      count = total
    }
    into[at] = count
    into[at + 1] = mean
    into[at + 2] = squares
  },
}

/**
 * Variance of the values, of a sample unless said. Null where there is no
 * value, or but one of a sample: one value says nothing of the spread. Not
 * invertible: taking back a far value would leave only its rounding error.
 */
export function variance({ of = 'sample' }: SpreadOptions = {}): ColumnAggregate {
  const less = of === 'sample' ? 1 : 0
  return {
    kind: 'columns',
    name: of === 'sample' ? 'variance' : 'populationVariance',
    folds: [varianceFold],
    laws: { orderInsensitive: true, invertible: false },
    finish: (columns, at) => varianceAt(columns, at[0]!, less),
  }
}

/** Variance of the state at `at`, divided by its count less `less`; NaN where that is not positive. */
export function varianceAt(columns: Float64Array, at: number, less: number): number {
  const divisor = columns[at]! - less
  return divisor > 0 ? columns[at + 2]! / divisor : Number.NaN
}
