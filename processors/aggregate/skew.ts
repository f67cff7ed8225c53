import type { ColumnAggregate } from './aggregate.ts'
import { momentsFold } from './moments-fold.ts'
import type { SpreadOptions } from './variance.ts'

/**
 * Skewness: 0 for a symmetric spread, positive with a long tail upwards.
 *
 *     population   g1 = (Σ(x - mean)³ / n) / (Σ(x - mean)² / n)^1.5
 *     sample       G1 = g1 · sqrt(n (n - 1)) / (n - 2), corrected for bias
 *
 * Of a sample unless said. Null where all values are equal, and for fewer
 * than three values of a sample.
 *
 * Source: D. N. Joanes, C. A. Gill, "Comparing Measures of Sample Skewness
 * and Kurtosis", The Statistician 47(1), 1998.
 */
export function skew({ of = 'sample' }: SpreadOptions = {}): ColumnAggregate {
  return {
    kind: 'columns',
    name: of === 'sample' ? 'skew' : 'populationSkew',
    folds: [momentsFold],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at) {
      const from = at[0]!
      const count = columns[from]!
      const variance = columns[from + 2]! / count
      // Without a spread this is 0 / 0, the NaN wanted.
      const plain = columns[from + 3]! / count / (variance * Math.sqrt(variance))
      if (of === 'population') return plain
      return count < 3 ? Number.NaN : (plain * Math.sqrt(count * (count - 1))) / (count - 2)
    },
  }
}
