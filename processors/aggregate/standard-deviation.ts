import type { ColumnAggregate } from './aggregate.ts'
import { type SpreadOptions, varianceAt, varianceFold } from './variance.ts'

/**
 * Square root of the variance, of a sample unless said; in the unit of the
 * values. Null where the variance is.
 */
export function standardDeviation({ of = 'sample' }: SpreadOptions = {}): ColumnAggregate {
  const less = of === 'sample' ? 1 : 0
  return {
    kind: 'columns',
    name: of === 'sample' ? 'standardDeviation' : 'populationStandardDeviation',
    folds: [varianceFold],
    laws: { orderInsensitive: true, invertible: false },
    finish: (columns, at) => Math.sqrt(varianceAt(columns, at[0]!, less)),
  }
}
