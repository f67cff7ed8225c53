import type { ObjectAggregate } from './aggregate.ts'
import { type Category, type CategoryInput, categoryOf } from './category.ts'
import {
  addDated,
  type DatedCategories,
  inKeptOrder,
  type Kept,
  mergeDated,
  readDated,
  requireBound,
  writeDated,
} from './dated-categories.ts'

export interface DistinctValuesOptions {
  readonly bound: number
  /** Which of too many: those that came first, or those that came last (again). `last` unless said. */
  readonly keep?: Kept
}

export type DistinctValues = ObjectAggregate<CategoryInput, DatedCategories, Category[]>

/**
 * The different values, at most `bound`: with `keep: 'last'` by their latest
 * event, latest first, with `first` by their earliest, earliest first; of one
 * instant the smaller value. Null where there were none. State: `bound` values
 * with their times; one more costs a pass over them.
 *
 * @throws RangeError for a bound that is not a whole number from 1.
 */
export function distinctValues({ bound, keep = 'last' }: DistinctValuesOptions): DistinctValues {
  requireBound(bound)
  return {
    kind: 'object',
    name: 'distinctValues',
    id: `distinctValues(${bound},${keep})`,
    laws: { orderInsensitive: true, invertible: false },
    init: () => new Map(),
    add(state, input, atMs) {
      const value = categoryOf(input)
      if (value !== undefined) addDated(state, value, atMs, keep, bound)
      return state
    },
    merge: (older, newer) => mergeDated(older, newer, keep, bound),
    finish: (state) => (state.size === 0 ? null : inKeptOrder(state, keep).map(([value]) => value)),
    write: (state, out) => writeDated(state, keep, out),
    read: readDated,
  }
}
