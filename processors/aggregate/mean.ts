import type { ColumnAggregate } from './aggregate.ts'
import { countFold } from './count.ts'
import { sumAt, sumFold } from './sum.ts'

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
    finish(columns, at) {
      const count = columns[at[0]!]!
      return count === 0 ? Number.NaN : sumAt(columns, at[1]!) / count
    },
  }
}
