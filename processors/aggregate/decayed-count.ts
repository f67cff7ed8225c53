import type { DurationMs } from '../../state/contracts/units.ts'
import type { ColumnAggregate } from './aggregate.ts'
import { decayedFold, growth } from './decayed-fold.ts'

/**
 * Number of values, each weighing 2^-(age at the query / halfLifeMs); 0 where
 * there were none. It falls as time passes, with no new event needed.
 */
export function decayedCount(halfLifeMs: DurationMs): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'decayedCount',
    folds: [decayedFold(halfLifeMs)],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at, queryMs) {
      const from = at[0]!
      const referenceMs = columns[from]!
      if (referenceMs === Number.NEGATIVE_INFINITY) return 0
      return columns[from + 1]! * growth((referenceMs - queryMs) / halfLifeMs)
    },
  }
}
