import type { DurationMs } from '../../state/contracts/units.ts'
import type { ColumnAggregate } from './aggregate.ts'
import { decayedFold, growth } from './decayed-fold.ts'

/**
 * Sum of the values, each times 2^-(age at the query / halfLifeMs); null where
 * there were none. It falls as time passes, with no new event needed.
 */
export function decayedSum(halfLifeMs: DurationMs): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'decayedSum',
    folds: [decayedFold(halfLifeMs)],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at, queryMs) {
      const from = at[0]!
      const referenceMs = columns[from]!
      if (referenceMs === Number.NEGATIVE_INFINITY) return Number.NaN
      return columns[from + 2]! * growth((referenceMs - queryMs) / halfLifeMs)
    },
  }
}
