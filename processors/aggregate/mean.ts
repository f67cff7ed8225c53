import type { ColumnAggregate } from './aggregate.ts'
import { countFold } from './count.ts'
import { pairAt, sumFold } from './sum.ts'

/** Of the count at `count` and the pair [sum, error] at `total`. */
export const meanAt = (columns: Float64Array, count: number, total: number): number =>
  // Of nothing it is 0 / 0, the NaN wanted.
  pairAt(columns, total) / columns[count]!

/**
 * Arithmetic mean of the values present; null where there were none. Shares
 * the columns of count and sum. Taking back more than was added gives the
 * quotient of the two negative totals, so that adding it later restores the
 * mean.
 */
export function mean(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'mean',
    folds: [countFold, sumFold],
    laws: { orderInsensitive: true, invertible: true },
    form: 'mean',
    finish: (columns, at) => meanAt(columns, at[0]!, at[1]!),
  }
}
