import type { DurationMs } from '../../state/contracts/units.ts'
import type { ObjectAggregate } from './aggregate.ts'
import { type Category, type CategoryInput, categoryOf } from './category.ts'
import {
  addDated,
  type DatedCategories,
  mergeDated,
  readDated,
  requireBound,
  writeDated,
} from './dated-categories.ts'

export interface InteractedWithOptions {
  /** How long an interaction counts. */
  readonly withinMs: DurationMs
  /** Most things remembered; of more, those of longest ago are forgotten. */
  readonly bound: number
}

export type InteractedWith = ObjectAggregate<CategoryInput, DatedCategories, ReadonlySet<Category>>

/**
 * The set of things interacted with in `[query - withinMs, query)`: whether
 * one is among them answers "has this user seen that item?". It shrinks as
 * time passes, with no new event needed. Null where it is empty.
 *
 * State: `bound` things with their latest times; one more costs a pass over
 * them. A query is later than every event that was added, as it is for a read
 * that sees events before it.
 *
 * @throws RangeError for a bound that is not a whole number from 1 or a time that is not positive.
 */
export function interactedWith({ withinMs, bound }: InteractedWithOptions): InteractedWith {
  requireBound(bound)
  if (!(withinMs > 0)) throw new RangeError(`withinMs must be positive, got ${withinMs}`)
  return {
    kind: 'object',
    name: 'interactedWith',
    id: `interactedWith(${withinMs},${bound})`,
    laws: { orderInsensitive: true, invertible: false },
    init: () => new Map(),
    add(state, input, atMs) {
      const value = categoryOf(input)
      if (value !== undefined) addDated(state, value, atMs, 'last', bound)
      return state
    },
    merge: (older, newer) => mergeDated(older, newer, 'last', bound),
    finish(state, queryMs) {
      const recent = new Set<Category>()
      for (const [value, atMs] of state) {
        if (atMs >= queryMs - withinMs && atMs < queryMs) recent.add(value)
      }
      return recent.size === 0 ? null : recent
    },
    write: (state, out) => writeDated(state, 'last', out),
    read: readDated,
  }
}
