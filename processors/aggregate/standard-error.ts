import type { ColumnAggregate } from './aggregate.ts'
import { varianceAt, varianceFold } from './variance.ts'

/**
 * Standard error of the mean: the sample's standard deviation over the square
 * root of the count. Null for fewer than two values.
 */
export function standardError(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'standardError',
    folds: [varianceFold],
    laws: { orderInsensitive: true, invertible: false },
    finish: (columns, at) => Math.sqrt(varianceAt(columns, at[0]!, 1) / columns[at[0]!]!),
  }
}
