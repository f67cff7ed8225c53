import type { ColumnAggregate } from './aggregate.ts'
import { momentsFold } from './moments-fold.ts'
import type { SpreadOptions } from './variance.ts'

/**
 * Excess kurtosis: 0 for a normal spread, positive with heavy tails.
 *
 *     population   g2 = (Σ(x - mean)⁴ / n) / (Σ(x - mean)² / n)² - 3
 *     sample       G2 = ((n + 1) g2 + 6) (n - 1) / ((n - 2) (n - 3)), corrected for bias
 *
 * Of a sample unless said. Null where all values are equal, and for fewer
 * than four values of a sample.
 *
 * Source: D. N. Joanes, C. A. Gill, "Comparing Measures of Sample Skewness
 * and Kurtosis", The Statistician 47(1), 1998.
 */
export function kurtosis({ of = 'sample' }: SpreadOptions = {}): ColumnAggregate {
  return {
    kind: 'columns',
    name: of === 'sample' ? 'kurtosis' : 'populationKurtosis',
    folds: [momentsFold],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at) {
      const from = at[0]!
      const count = columns[from]!
      const variance = columns[from + 2]! / count
      // Without a spread this is 0 / 0, the NaN wanted.
      const excess = columns[from + 4]! / count / (variance * variance) - 3
      if (of === 'population') return excess
      if (count < 4) return Number.NaN
      return (((count + 1) * excess + 6) * (count - 1)) / ((count - 2) * (count - 3))
    },
  }
}
