import type { ColumnAggregate } from './aggregate.ts'
import { maxFold } from './max.ts'
import { minFold } from './min.ts'

/** Largest value less the smallest, peak to peak; null where there were none. Shares the columns of min and max. */
export function range(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'range',
    folds: [minFold, maxFold],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at) {
      const smallest = columns[at[0]!]!
      return smallest === Number.POSITIVE_INFINITY ? Number.NaN : columns[at[1]!]! - smallest
    },
  }
}
