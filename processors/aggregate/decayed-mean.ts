import type { DurationMs } from '../../state/contracts/units.ts'
import type { ColumnAggregate } from './aggregate.ts'
import { decayedFold } from './decayed-fold.ts'

/**
 * Mean of the values, each weighing 2^-(age / halfLifeMs); null where there
 * were none. Weights fall alike, so the query time does not matter.
 */
export function decayedMean(halfLifeMs: DurationMs): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'decayedMean',
    folds: [decayedFold(halfLifeMs)],
    laws: { orderInsensitive: true, invertible: false },
    // Without a value both columns are 0, and 0 / 0 is the NaN wanted.
    finish: (columns, at) => columns[at[0]! + 2]! / columns[at[0]! + 1]!,
  }
}
