import type { ColumnAggregate } from './aggregate.ts'
import { countFold } from './count.ts'
import { pairAt, sumFold } from './sum.ts'

/** What is believed before any event: as if `trials` events had given `successes` in total. */
export interface RatePrior {
  readonly successes: number
  readonly trials: number
}

/**
 * Mean drawn towards a prior: (sum + successes) / (count + trials). For an
 * input of 0 and 1 the posterior mean of a rate under Beta(successes,
 * trials - successes). Without events it is the prior's own rate; null where
 * that is 0 / 0.
 */
export function rate({ successes, trials }: RatePrior): ColumnAggregate {
  if (!Number.isFinite(successes) || !(trials >= 0) || !Number.isFinite(trials)) {
    throw new RangeError(`a prior needs finite successes and trials >= 0, got ${successes} and ${trials}`)
  }
  return {
    kind: 'columns',
    name: 'rate',
    folds: [countFold, sumFold],
    asked: `prior ${successes} of ${trials}`,
    laws: { orderInsensitive: true, invertible: true },
    finish(columns, at) {
      const count = columns[at[0]!]! + trials
      return count === 0 ? Number.NaN : (pairAt(columns, at[1]!) + successes) / count
    },
  }
}
